# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for nvidia-ctk."""

from __future__ import annotations

import argparse
import os
import re
import sys
import typing as t
from pathlib import Path

from lab.nvidia.toolkit import docker_config, spec
from lab.nvidia.toolkit.driver import NoDriver, here
from lab.nvidia.toolkit.log import Log

NAME = "NVIDIA Container Toolkit CLI"
#: Written by the package beside the code.
VERSION_FILE = Path("/usr/lib/edgellm-lab/nvidia-container-toolkit.version")
SPEC_DIRS = "/etc/cdi,/var/run/cdi"
#: Options of the real program that change nothing about pretended GPUs.
WITHOUT_EFFECT = (
    *("--config-search-path", "--dev-root", "--driver-root", "--library-search-path"),
    *("--nvidia-cdi-hook-path", "--nvidia-ctk-path", "--ldconfig-path", "--csv.file"),
    *("--csv.ignore-pattern", "--csv.compat-container-root", "--disable-hook", "--disable-hooks"),
    *("--enable-hook", "--enable-hooks", "--feature-flag", "--feature-flags"),
)
_MODES = {
    *("auto", "csv", "gdrcopy", "gds", "imex", "management", "mofed", "nvml", "nvswitch", "wsl"),
}
_DONE_MODES = {"auto", "nvml"}


class Failure(Exception):
    """What goes wrong ends with this text and exit status 1."""


class NoSuchCommand(Exception):
    """There is no command of this name, which is exit status 3."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> t.NoReturn:
        if unknown := re.search("invalid choice: '([^']*)'", message):
            raise NoSuchCommand(unknown[1])
        raise Failure(message)


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    parser = _parser()
    try:
        args, unknown = parser.parse_known_args(arguments)
        log = Log(quiet=args.quiet)
        if unknown:
            return _unknown(parser, unknown[0])
        if args.version:
            print(f"{NAME} version {version()}")
            return 0
        if args.action is None:
            parser.print_help()
            return 0
        args.action(args, log)
    except NoSuchCommand as name:
        print(f"No help topic for '{name}'", file=sys.stderr)
        return 3
    except Failure as failure:
        Log().error(str(failure))
        return 1
    return 0


def version() -> str:
    found = here(str(VERSION_FILE))
    return found.read_text(encoding="ascii").strip() if found.exists() else "unknown"


def _unknown(parser: argparse.ArgumentParser, word: str) -> int:
    if not word.startswith("-"):
        parser.print_help()
        return 0
    problem = f"flag provided but not defined: -{word.lstrip('-').partition('=')[0]}"
    print(f"Incorrect Usage: {problem}\n", file=sys.stderr)
    parser.print_help()
    Log().error(problem)
    return 1


def generate(args: argparse.Namespace, log: Log) -> None:
    """`cdi generate`: to the file named, or to the standard output."""
    form, mode, strategies = _format(args), args.mode.lower(), _strategies(args)
    if mode not in _MODES:
        raise Failure(f"invalid discovery mode: {mode}")
    for strategy in strategies:
        if strategy not in spec.STRATEGIES:
            raise Failure(f"invalid device name strategy: {strategy}")
    if mode not in _DONE_MODES:
        raise Failure(f"the lab's stand-in has no GPUs for the mode {mode}")
    if mode == "auto":
        log.info("Auto-detected mode as 'nvml'")
    kind = f"{args.vendor}/{args.device_class}"
    try:
        made = spec.make(strategies=strategies, kind=kind, with_all=not args.no_all_device)
    except NoDriver as error:
        raise Failure(
            "failed to generate CDI spec: failed to create device CDI specs: failed to construct"
            f" device spec generators: failed to initialize NVML: {error}"
        ) from None
    text = spec.to_json(made) if form == "json" else spec.to_yaml(made)
    if args.output:
        _write(here(args.output), text)
    else:
        sys.stdout.write(text)
    log.info(f"Generated CDI spec with version {made['cdiVersion']}")


def _format(args: argparse.Namespace) -> str:
    """What was asked for, else what the file's name implies."""
    implied = {".json": "json"}.get(Path(args.output).suffix.lower(), "yaml")
    form: str = (args.format or implied).lower()
    if form not in {"json", "yaml"}:
        raise Failure(f"invalid output format: {form}")
    return form


def _strategies(args: argparse.Namespace) -> list[str]:
    asked = args.strategies or [_environment("GENERATE_DEVICE_NAME_STRATEGIES", "index,uuid")]
    return [word for text in asked for word in text.split(",")]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(path)


def list_devices(args: argparse.Namespace, log: Log) -> None:
    """`cdi list`: the devices of every specification."""
    folders = args.spec_dirs or _environment("SPEC_DIRS", SPEC_DIRS).split(",")
    devices: set[str] = set()
    problems: list[str] = []
    for folder in folders:
        devices |= _devices_of(here(folder), problems)
    for problem in ["The following registry errors were reported:", *problems] if problems else []:
        log.warning(problem)
    log.info(f"Found {len(devices)} CDI devices")
    for name in sorted(devices):
        print(name)


def _devices_of(folder: Path, problems: list[str]) -> set[str]:
    """The devices of one folder; one that two of its files describe is nobody's."""
    found: dict[str, list[Path]] = {}
    for path in sorted(p for p in folder.glob("*") if p.suffix in {".yaml", ".json"}):
        try:
            kind, names = spec.device_names(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, spec.BrokenSpec) as error:
            problems.append(f"{path}: [failed to load CDI Spec {error}]")
            continue
        for name in names:
            found.setdefault(f"{kind}={name}", []).append(path)
    conflicts = {name: paths for name, paths in found.items() if len(paths) > 1}
    for path in sorted({path for paths in conflicts.values() for path in paths}):
        told = [
            f'conflicting device "{name}" (specs "{paths[0]}", "{paths[1]}")'
            for name, paths in conflicts.items()
            if path in paths
        ]
        problems.append(f"{path}: [{' '.join(told)}]")
    return set(found) - set(conflicts)


def configure(args: argparse.Namespace, log: Log) -> None:
    """`runtime configure`: daemon.json with the NVIDIA runtime."""
    if args.runtime != "docker":
        known = args.runtime in {"containerd", "crio"}
        raise Failure(
            f"the lab's stand-in configures docker only, not {args.runtime}"
            if known
            else f"unrecognized runtime '{args.runtime}'"
        )
    path = here(args.config_path or "/etc/docker/daemon.json")
    exists = path.exists()
    log.info(
        f"Loading config from {path}"
        if exists
        else "Config file does not exist; using empty config"
    )
    try:
        before = docker_config.load(path) if exists else {}
    except (OSError, ValueError) as error:
        raise Failure(f"unable to load config for runtime docker: {error}") from None
    after = docker_config.configured(
        before,
        name=args.runtime_name,
        path=args.runtime_path,
        default=args.default,
        cdi=args.cdi,
    )
    if args.dry_run:
        print(docker_config.text(after))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(docker_config.text(after), encoding="utf-8")
    log.info(f"Wrote updated config to {path}")
    log.info("It is recommended that docker daemon be restarted.")


def _environment(name: str, default: str) -> str:
    return os.environ.get(f"NVIDIA_CTK_CDI_{name}") or default


def _parser() -> argparse.ArgumentParser:
    top = _Parser(prog=NAME, allow_abbrev=False, description="The lab's stand-in for nvidia-ctk.")
    top.add_argument("--debug", "-d", action="store_true")
    quiet = os.environ.get("NVIDIA_CTK_QUIET", "") in {"1", "true"}
    top.add_argument("--quiet", action="store_true", default=quiet)
    top.add_argument("--config", dest="toolkit_config")
    top.add_argument("--version", "-v", action="store_true")
    top.set_defaults(action=None)
    groups = top.add_subparsers(parser_class=_Parser)

    def group(name: str) -> t.Any:
        return groups.add_parser(name, allow_abbrev=False).add_subparsers(parser_class=_Parser)

    cdi, runtime = group("cdi"), group("runtime")
    _generate_options(cdi.add_parser("generate", allow_abbrev=False))
    listing = cdi.add_parser("list", allow_abbrev=False)
    listing.add_argument("--spec-dir", action="append", dest="spec_dirs")
    listing.set_defaults(action=list_devices)
    _configure_options(runtime.add_parser("configure", allow_abbrev=False))
    return top


def _generate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", default=_environment("OUTPUT_FILE_PATH", ""))
    parser.add_argument("--format", default=_environment("GENERATE_OUTPUT_FORMAT", ""))
    parser.add_argument("--mode", "--discovery-mode", default=_environment("GENERATE_MODE", "auto"))
    parser.add_argument("--device-name-strategy", action="append", dest="strategies")
    parser.add_argument(
        "--vendor", "--cdi-vendor", default=_environment("GENERATE_VENDOR", "nvidia.com")
    )
    parser.add_argument(
        "--class", "--cdi-class", dest="device_class", default=_environment("GENERATE_CLASS", "gpu")
    )
    no_all = re.fullmatch("1|true", _environment("GENERATE_NO_ALL_DEVICE", "")) is not None
    parser.add_argument("--no-all-device", action="store_true", default=no_all)
    for name in WITHOUT_EFFECT:
        parser.add_argument(name, action="append")
    parser.set_defaults(action=generate)


def _configure_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--runtime", default="docker")
    parser.add_argument("--config", dest="config_path")
    parser.add_argument("--nvidia-runtime-name", dest="runtime_name", default="nvidia")
    parser.add_argument(
        "--nvidia-runtime-path",
        "--runtime-path",
        dest="runtime_path",
        default="nvidia-container-runtime",
    )
    parser.add_argument(
        "--nvidia-set-as-default", "--set-as-default", dest="default", action="store_true"
    )
    parser.add_argument(
        "--cdi.enabled", "--cdi.enable", "--enable-cdi", dest="cdi", action="store_true"
    )
    parser.set_defaults(action=configure)


if __name__ == "__main__":
    raise SystemExit(main())

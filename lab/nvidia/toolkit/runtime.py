# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for nvidia-container-runtime: runc, with the GPUs that a container asks for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from lab.nvidia.toolkit import driver, spec
from lab.nvidia.toolkit.driver import Node, NoDriver, NoSuchGpu

VARIABLE = "NVIDIA_VISIBLE_DEVICES"
NOTHING = {"", "void", "none"}
_REFUSED = (
    "could not apply required modification to OCI specification: error modifying OCI spec:"
    " failed to create the automatic CDI modifier: failed to generate CDI spec for mode"
    ' "auto": failed to construct device spec generators: '
)


def asked(environment: list[str]) -> list[str]:
    """The GPUs that a container's environment names."""
    values = [word.partition("=")[2] for word in environment if word.startswith(f"{VARIABLE}=")]
    names = values[-1].split(",") if values else []
    return [name for name in names if name not in NOTHING]


def injected(config: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The bundle's configuration with the GPUs named, and what comes with them."""
    nodes = [driver.node(gpu.node) for gpu in driver.wanted(names)] + driver.common_nodes()
    process, linux = config["process"], config.setdefault("linux", {})
    kept = [word for word in process.get("env", []) if not word.startswith(f"{VARIABLE}=")]
    process["env"] = [*kept, *spec.ENV]
    linux["devices"] = [*linux.get("devices", []), *(_device(node) for node in nodes)]
    resources = linux.setdefault("resources", {})
    resources["devices"] = [*resources.get("devices", []), *(_rule(node) for node in nodes)]
    config["mounts"] = [*config.get("mounts", []), *(_mount(path) for path in spec.MOUNTS)]
    return config


def _device(node: Node) -> dict[str, Any]:
    numbers = {"path": node.path, "type": "c", "major": node.major, "minor": node.minor}
    return {**numbers, "fileMode": node.mode, "uid": 0, "gid": 0}


def _rule(node: Node) -> dict[str, Any]:
    return {"allow": True, "type": "c", "major": node.major, "minor": node.minor, "access": "rwm"}


def _mount(path: str) -> dict[str, Any]:
    options = list(spec.MOUNT_OPTIONS)
    return {"destination": path, "source": path, "type": "bind", "options": options}


def option(argv: list[str], *names: str) -> str | None:
    """The value of an option, written either way."""
    for index, word in enumerate(argv):
        name, separator, value = word.partition("=")
        if name in names:
            return value if separator else (argv[index + 1 : index + 2] or [""])[0]
    return None


def prepare(argv: list[str]) -> None:
    """Put the GPUs into the bundle of a container that this command creates."""
    if not {"create", "run"} & set(argv):
        return
    file = Path(option(argv, "--bundle", "-bundle", "-b") or ".") / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    if names := asked(config["process"].get("env", [])):
        file.write_text(json.dumps(injected(config, names)), encoding="utf-8")


def problem(error: NoDriver | NoSuchGpu) -> str:
    """What is said when there is no driver or no such GPU, in the real program's words."""
    name = str(error)
    if isinstance(error, NoDriver):
        return f"{_REFUSED}failed to initialize NVML: {error}"
    if name.isdecimal():
        return f"{_REFUSED}failed to get device handle from index: Invalid Argument"
    return f'{_REFUSED}identifier is not a valid UUID or index: "{name}"'


def _fail(argv: list[str], message: str) -> int:
    """The engine shows what stands in the log file that it named."""
    if file := option(argv, "--log"):
        with Path(file).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"level": "error", "msg": message}) + "\n")
    print(message, file=sys.stderr)
    return 1


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    try:
        prepare(arguments)
    except (NoDriver, NoSuchGpu) as error:
        return _fail(arguments, problem(error))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        os.execvpe("runc", ["runc", *arguments], environment)
    except OSError as error:
        return _fail(arguments, f"runc: {error.strerror}")


if __name__ == "__main__":
    raise SystemExit(main())

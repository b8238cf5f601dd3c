# SPDX-License-Identifier: GPL-3.0-or-later
"""The `ollama` command: serve, and the subcommands that talk to a running server."""

from __future__ import annotations

import argparse
import datetime
import hashlib
import os
import re
import signal
import sys
import time
import types
import typing as t
from pathlib import Path

from lab.ollama import gofmt, modelfile
from lab.ollama.client import Client, ClientError
from lab.ollama.settings import Settings, from_environment

TIMESTAMP = re.compile(r"^(.*?)(\.\d+)?(Z|[+-]\d\d:\d\d)$")


def main(argv: t.Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    settings = from_environment()
    client = Client(os.environ.get("OLLAMA_HOST", ""))
    if args.version:
        return _version(client, settings)
    if args.command is None:
        parser.print_help()
        return 0
    if args.command == "serve":
        return serve(settings)
    try:
        return int(args.run(client, args) or 0)
    except (ClientError, modelfile.NotUnderstood) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ollama", description="Stand-in for the Ollama command (see lab/ollama/README.md)"
    )
    parser.add_argument("-v", "--version", action="store_true", help="show version information")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", aliases=["start"], help="start the server")
    table: tuple[tuple[str, list[str], str, t.Callable[..., int | None], list[str]], ...] = (
        ("list", ["ls"], "list models", _list, []),
        ("ps", [], "list running models", _ps, []),
        ("show", [], "show information for a model", _show, ["model"]),
        ("create", [], "create a model", _create, ["model"]),
        ("pull", [], "pull a model from a registry", _pull, ["model"]),
        ("rm", [], "remove models", _rm, ["models"]),
        ("cp", [], "copy a model", _cp, ["source", "destination"]),
        ("stop", [], "stop a running model", _stop, ["model"]),
    )
    for name, aliases, text, run, positional in table:
        command = commands.add_parser(name, aliases=aliases, help=text)
        command.set_defaults(run=run)
        for argument in positional:
            command.add_argument(argument, nargs="+" if argument == "models" else None)
        if name in ("list", "ps"):
            command.add_argument("prefix", nargs="?", default="")
        if name == "show":
            command.add_argument("--modelfile", action="store_true")
        if name == "create":
            command.add_argument("-f", "--file", type=Path, default=Path("Modelfile"))
        if name == "pull":
            command.add_argument("--insecure", action="store_true")
    return parser


def _version(client: Client, settings: Settings) -> int:
    server = ""
    try:
        server = client.get("/api/version").get("version", "")
    except ClientError:
        print("Warning: could not connect to a running Ollama instance")
    if server:
        print(f"ollama version is {server}")
    if server != settings.full_version:
        print(f"Warning: client version is {settings.full_version}")
    return 0


def _list(client: Client, args: argparse.Namespace) -> None:
    rows = [
        [
            model["name"],
            model["digest"][:12],
            gofmt.human_bytes(model["size"]),
            _when(model["modified_at"]),
        ]
        for model in client.get("/api/tags")["models"]
        if model["name"].lower().startswith(args.prefix.lower())
    ]
    _table(["NAME", "ID", "SIZE", "MODIFIED"], rows)


def _ps(client: Client, args: argparse.Namespace) -> None:
    rows = []
    for model in client.get("/api/ps")["models"]:
        if not model["name"].startswith(args.prefix):
            continue
        until = _when(model["expires_at"])
        rows.append(
            [
                model["name"],
                model["digest"][:12],
                gofmt.human_bytes(model["size"]),
                processor(model["size"], model["size_vram"]),
                str(model["context_length"]),
                "Stopping..." if until.endswith(" ago") else until,
            ]
        )
    _table(["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"], rows)


def processor(size: int, size_vram: int) -> str:
    """Return where a model lies, in the words of `ollama ps`."""
    if size_vram == 0:
        return "100% CPU"
    if size_vram == size:
        return "100% GPU"
    if size_vram > size or size == 0:
        return "Unknown"
    share = round((size - size_vram) / size * 100)
    return f"{share}%/{100 - share}% CPU/GPU"


def _show(client: Client, args: argparse.Namespace) -> None:
    answer = client.call("POST", "/api/show", {"model": args.model})
    if args.modelfile:
        print(answer["modelfile"])
        return
    info, details = answer["model_info"], answer["details"]
    family = details["family"]
    sections: dict[str, list[list[str]]] = {
        "Model": [
            ["architecture", str(info.get("general.architecture", family))],
            ["parameters", details["parameter_size"]],
            ["context length", str(info.get(f"{family}.context_length", ""))],
            ["embedding length", str(info.get(f"{family}.embedding_length", ""))],
            ["quantization", details["quantization_level"]],
        ],
        "Capabilities": [[capability] for capability in answer["capabilities"]],
        "Parameters": [
            line.split(maxsplit=1) for line in answer.get("parameters", "").splitlines()
        ],
        "System": [[line] for line in answer.get("system", "").splitlines()[:2]],
        "License": [[line] for line in answer.get("license", "").splitlines()[:2]],
    }
    for title, rows in sections.items():
        if rows:
            print(f"  {title}")
            _columns(rows)
            print()


def _create(client: Client, args: argparse.Namespace) -> None:
    if not args.file.is_file():
        raise ClientError("no Modelfile or safetensors files found")
    print("gathering model components", file=sys.stderr)
    made = modelfile.read(args.file)
    files = {}
    for path in made.files:
        with path.open("rb") as file:
            files[path.name] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        client.upload(files[path.name], path)
    body = {"model": args.model, **made.fields, **({"files": files} if files else {})}
    _progress(client, "/api/create", body)


def _pull(client: Client, args: argparse.Namespace) -> None:
    _progress(client, "/api/pull", {"model": args.model, "insecure": args.insecure})


def _progress(client: Client, path: str, body: dict[str, t.Any]) -> None:
    last = ""
    for event in client.stream("POST", path, body):
        if event["status"] != last:
            last = event["status"]
            print(last, file=sys.stderr, flush=True)


def _rm(client: Client, args: argparse.Namespace) -> None:
    for model in args.models:
        client.call("DELETE", "/api/delete", {"model": model})
        print(f"deleted '{model}'")


def _cp(client: Client, args: argparse.Namespace) -> None:
    client.call("POST", "/api/copy", {"source": args.source, "destination": args.destination})
    print(f"copied '{args.source}' to '{args.destination}'")


def _stop(client: Client, args: argparse.Namespace) -> None:
    try:
        client.call("POST", "/api/generate", {"model": args.model, "keep_alive": 0})
    except ClientError as error:
        if "not found" not in str(error):
            raise
        raise ClientError(f'couldn\'t find model "{args.model}" to stop') from None


def _table(header: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("    ".join(cells) + (" " if row is header else "    "))


def _columns(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("    " + "    ".join(cells) + "    ")


def _when(text: str) -> str:
    match = TIMESTAMP.match(text)
    if match is None:
        return text
    stamp = match.group(1) + match.group(3).replace("Z", "+00:00")
    return gofmt.human_time(datetime.datetime.fromisoformat(stamp).timestamp(), time.time())


def serve(settings: Settings) -> int:
    """Serve the API until the process is told to stop."""
    # Imported here so that the small subcommands start fast: a health check runs them often.
    from lab.ollama.serving import run

    def on_signal(_number: int, _frame: types.FrameType | None) -> None:
        raise SystemExit(0)

    # Covers the time before the server installs its own handlers: PID 1 has no default ones.
    signal.signal(signal.SIGTERM, on_signal)
    return run(settings)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command line."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from typing import Any

from lab import clean, gpu, record, say, state, status, up
from lab.errors import LabError
from lab.names import BOX_IMAGES, BOXES, PREFIX, box_container


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    if args.json or args.command == "record":
        say.to_stderr()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(args)
    except LabError as exc:
        print(f"lab: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _run(args: argparse.Namespace) -> int:
    match args.command:
        case "logs":
            return _logs(args.name)
        case "record":
            _record(args)
            return 0
        case "status":
            result = status.status()
        case _:
            with state.lock():
                result = _change(args)
    print(json.dumps(result, indent=2) if args.json else _in_words(args.command, result))
    return 0


def _change(args: argparse.Namespace) -> dict[str, Any]:
    match args.command:
        case "up":
            return up.up(args.boxes)
        case "reset":
            return up.reset(args.box, args.image)
        case "gpu":
            return gpu.gpu(args.box, args.count)
        case "down":
            return clean.down()
        case _:
            return clean.clean()


def _logs(name: str) -> int:
    short = name.removeprefix(f"{PREFIX}-")
    if short in BOXES:
        argv = ["docker", "exec", box_container(short), "journalctl", "--no-pager", "--boot"]
    else:
        argv = ["docker", "logs", "--timestamps", f"{PREFIX}-{short}"]
    return subprocess.run(argv, check=False).returncode


def _record(args: argparse.Namespace) -> None:
    if args.mark:
        print(record.mark())
        return
    for line in record.since(record.Mark.parse(args.since)):
        print(json.dumps(line))


def _in_words(command: str, result: dict[str, Any]) -> str:
    match command:
        case "up" | "reset":
            lines = [f"{n}  {b['address']}  ({b['image']})" for n, b in result["boxes"].items()]
            if ollama := result.get("ollama"):
                lines.append(f"registry mirror http://{ollama['registry']}:5000: {ollama['image']}")
                lines[-1] += f" is {ollama['is']}"
                if cloudflared := result.get("cloudflared"):
                    lines[-1] += f", {cloudflared['image']} is {cloudflared['is']}"
                lines.append(f"origin http://{ollama['origin']}")
            return "\n".join([*lines, f"ready after {result['seconds']} s"])
        case "status":
            return _status_in_words(result)
        case "gpu":
            lines = [f"GPU {one['index']}  {one['uuid']}  {one['name']}" for one in result["gpus"]]
            return "\n".join(lines) or f"{result['box']} has no GPU"
        case "clean":
            given = say.size(result["bytes_given_back"])
            return f"engine {result['engine']}\n{given} of disk given back"
        case _:
            return f"{len(result['containers'])} containers removed; images and data stay"


def _status_in_words(result: dict[str, Any]) -> str:
    engine = result["engine"]
    whose = "installed by the lab" if engine["installed_by_lab"] else "found here"
    whose = "started by the lab" if engine["started_by_lab"] else whose
    lines = [f"engine {engine['version']}, {whose}" if engine["version"] else "no engine answers"]
    for kind in ("containers", "images", "volumes"):
        for entry in result[kind]:
            about = entry.get("state") or ("" if entry.get("current", True) else "older recipe")
            lines.append(
                f"{kind[:-1]:10}{entry['name']:60.60} {say.size(entry['bytes']):>9}  {about}"
            )
    return "\n".join([*lines, f"disk used: {say.size(result['disk']['total'])}"])


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--json", action="store_true", help="the result as JSON, progress on stderr"
    )
    parser = argparse.ArgumentParser(
        prog="python -m lab", description="The lab: see lab/README.md."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, description=about, parents=[common])

    bring_up = add("up", "Bring up services and boxes; creates only what is missing.")
    which = bring_up.add_mutually_exclusive_group()
    which.add_argument("--boxes", type=lambda text: text.split(","), metavar="box1,box2")
    which.add_argument("--no-boxes", dest="boxes", action="store_const", const=[])
    reset = add("reset", "Throw boxes away and make them anew.")
    reset.add_argument("box", nargs="+", choices=list(BOXES))
    reset.add_argument("--image", choices=BOX_IMAGES)
    plug = add("gpu", "Plug pretended NVIDIA GPUs into a box, in the place of those that it had.")
    plug.add_argument("box", choices=list(BOXES))
    plug.add_argument("--count", type=int, default=1, metavar="N", help="0 takes them out")
    add("down", "Remove containers and network; images and data stay.")
    add("clean", "Remove everything the lab made.")
    add("status", "Show what there is and the disk it takes.")
    logs = add("logs", "Show a service's log or a box's journal.")
    logs.add_argument("name", help="origin, cdn, registry, or a box")
    asked = add("record", "Print the requests that the services answered, as JSON lines.")
    asked.add_argument("--since", default="0.0", metavar="MARK")
    asked.add_argument("--mark", action="store_true", help="print the mark of this moment instead")
    return parser

# SPDX-License-Identifier: GPL-3.0-or-later
"""How each tool is asked for the file."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from tests.bench.sample import NAME, Sample
from tests.bench.server import REPO, Server

ROOT = Path(__file__).resolve().parents[2]
OURS = "gguf_file"
LANES = 8
LANES_OF_ARIA2 = 16
# curl, and then the hash of what came: what a person types who wants to be sure.
PROVED = 'curl -sSf -o "$1" "$2" && echo "$3  $1" | sha256sum --check --status'


@dataclasses.dataclass(frozen=True)
class Errand:
    """One download: from where, what, into which folder, over how many lanes (ours only)."""

    server: Server
    sample: Sample
    folder: Path
    lanes: int = LANES

    @property
    def dest(self) -> Path:
        return self.folder / NAME


@dataclasses.dataclass(frozen=True)
class Tool:
    """C(shown) is how it is called, for people."""

    name: str
    shown: str
    command: t.Callable[[Errand], list[str]]


def ours(errand: Errand) -> list[str]:
    options = {
        "repo": REPO,
        "file": NAME,
        "endpoint": errand.server.endpoint,
        "dest": str(errand.dest),
        "lanes": errand.lanes,
        "_ansible_remote_tmp": str(errand.folder),
    }
    return [sys.executable, "-m", "tests.bench.ours", json.dumps(options)]


def curl(errand: Errand) -> list[str]:
    return ["curl", "-sSf", "-C", "-", "-o", str(errand.dest), errand.server.url]


def curl_proved(errand: Errand) -> list[str]:
    said = (str(errand.dest), errand.server.url, errand.sample.sha256)
    return ["sh", "-c", PROVED, "sh", *said]


def aria2c(errand: Errand) -> list[str]:
    connections = [f"-x{LANES_OF_ARIA2}", f"-s{LANES_OF_ARIA2}"]
    # Quiet, or it rewrites its summary all the time.
    place = ["--quiet", "-c", "-d", str(errand.folder), "-o", NAME]
    return ["aria2c", *connections, *place, errand.server.url]


def aria2c_proved(errand: Errand) -> list[str]:
    return [*aria2c(errand), f"--checksum=sha-256={errand.sample.sha256}"]


def hf(errand: Errand) -> list[str]:
    return ["hf", "download", REPO, NAME, "--local-dir", str(errand.folder)]


TOOLS = (
    Tool(OURS, "python -m tests.bench.ours '{…}'", ours),
    Tool("curl", "curl -C -", curl),
    Tool("curl + sha256sum", "curl … && sha256sum --check", curl_proved),
    Tool("aria2c", "aria2c -x16 -s16 -c", aria2c),
    Tool("aria2c --checksum", "aria2c -x16 -s16 -c --checksum=sha-256=…", aria2c_proved),
    Tool("hf download", "hf download --local-dir …", hf),
)
BY_NAME = {tool.name: tool for tool in TOOLS}


def environment(home: Path, endpoint: str) -> dict[str, str]:
    """Nobody's own settings decide, and nobody talks to anything but the server."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'collections'}",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "HF_HOME": str(home / "hf"),
        "HF_ENDPOINT": endpoint,
        # Plain HTTP, which is what nginx speaks.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


NEEDED = {"nginx": "nginx-light", "aria2c": "aria2", "curl": "curl", "sha256sum": "coreutils"}


def lacking(which: t.Callable[[str], str | None] = shutil.which) -> list[str]:
    """The Debian packages of the programs that are not there."""
    return [package for program, package in NEEDED.items() if which(program) is None]


def versions() -> dict[str, str]:
    """What is compared with what, by the tools' own words."""
    asked = {
        "nginx": ["nginx", "-v"],
        "curl": ["curl", "--version"],
        "sha256sum": ["sha256sum", "--version"],
        "aria2c": ["aria2c", "--version"],
        "hf": [str(Path(sys.executable).with_name("hf")), "--version"],
        "Python": [sys.executable, "--version"],
    }
    return {name: _version(command) for name, command in asked.items()}


def _version(command: list[str]) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    words = (done.stdout + done.stderr).replace("/", " ").split()
    return next((word for word in words if word[0].isdigit()), "unknown")

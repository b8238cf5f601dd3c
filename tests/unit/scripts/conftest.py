# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

# Tools the scripts call; everything else is absent from the sandbox's PATH.
TOOLS = ("awk", "cat", "cmp", "cp", "dirname", "du", "mkdir", "rm", "sh", "bash")


class Sandbox:
    """The scripts alone, and a PATH of stand-ins that write down how they were called."""

    def __init__(self, folder: Path, scripts: Path) -> None:
        self.clone = folder / "clone"
        self.bin = folder / "bin"
        self.calls_file = folder / "calls"
        self.environment: dict[str, str] = {}
        self.bin.mkdir()
        self.clone.mkdir(mode=0o755)
        shutil.copytree(scripts, self.clone / "scripts")
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def tool(self, name: str, body: str, folder: Path | None = None) -> Path:
        """Put an executable shell script on the PATH."""
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls_file}\n{body}\n')
        path.chmod(0o755)
        return path

    def calls(self) -> list[str]:
        """The calls since the last time this was asked."""
        if not self.calls_file.exists():
            return []
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.unlink()
        return lines

    def run(self, *command: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess:
        return subprocess.run(
            command,
            cwd=self.clone,
            env={"PATH": str(self.bin), "HOME": str(self.clone)} | self.environment,
            check=False,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def sandbox(tmp_path: Path, root: Path) -> Sandbox:
    return Sandbox(tmp_path, root / "scripts")


@pytest.fixture
def as_user(sandbox: Sandbox) -> Callable[[int], None]:
    """Make `id -u` answer with the given number."""
    return lambda uid: sandbox.tool("id", f"echo {uid}") and None

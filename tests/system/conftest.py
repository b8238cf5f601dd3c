# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]


@pytest.fixture(scope="session")
def run_logged(root: Path, request: pytest.FixtureRequest) -> Run:
    """Run a command with its output in build/logs/<name>.log; a failure shows the end of it."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def run(name: str, *command: str) -> str:
        log = root / "build" / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with capture.global_and_fixture_disabled():
            print(f"\n    {name}: tail -f {log.relative_to(root)} ", end="", flush=True)
        with log.open("w", encoding="utf-8") as out:
            done = subprocess.run(
                command,
                check=False,
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        text = log.read_text(encoding="utf-8", errors="replace")
        if done.returncode:
            end = "\n".join(text.splitlines()[-200:])
            pytest.fail(f"{' '.join(command)} ended with {done.returncode}:\n{end}", pytrace=False)
        return text

    return run


@pytest.fixture(scope="session")
def lab(run_logged: Run) -> None:
    """The lab, up with everything it has."""
    run_logged("lab-up", sys.executable, "-m", "lab", "up")

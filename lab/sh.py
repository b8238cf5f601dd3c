# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands: quietly, or with a log file and a sign of life."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lab import say
from lab.errors import LabError

_SIGN_OF_LIFE = 15.0


def capture(
    argv: Sequence[str],
    *,
    check: bool = True,
    stdin: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says; its own words are in the error when it fails."""
    try:
        done = subprocess.run(
            argv,
            check=False,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=env,
            timeout=timeout,
        )
    except FileNotFoundError as exc:
        raise LabError(f"{argv[0]}: no such command") from exc
    if check and done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
        raise LabError(f"{' '.join(argv[:6])} failed ({done.returncode}):\n  " + "\n  ".join(words))
    return done


def logged(
    argv: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    ends_with_us: bool = True,
) -> None:
    """Run a long command with its output in a log file, saying now and then that it goes on."""
    name = argv[0]
    if ends_with_us and shutil.which("setpriv"):
        # Even if this process is killed: what it started must not get in the way of the next one.
        argv = ["setpriv", "--pdeathsig", "KILL", *argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                argv, stdin=stdin or subprocess.DEVNULL, stdout=output, stderr=output, env=env
            )
        except FileNotFoundError as exc:
            raise LabError(f"{name}: no such command") from exc
        try:
            while True:
                try:
                    code = process.wait(timeout=_SIGN_OF_LIFE)
                    break
                except subprocess.TimeoutExpired:
                    say.step(f"  still at it after {time.monotonic() - began:.0f} s (log: {log})")
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code != 0:
        tail = log.read_text(errors="replace").splitlines()[-15:]
        raise LabError(f"{name} failed ({code}), log {log}:\n  " + "\n  ".join(tail))

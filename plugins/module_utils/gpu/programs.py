# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NVIDIA's programs, run without a shell and without the user's environment. Private."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# What systemd gives a service: the same program then finds the same helpers.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Some GPUs without persistence mode take ten seconds each to wake up.
_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """How a program ended; no return code when it did not end in time."""

    returncode: int | None
    out: str = ""
    err: str = ""


class Run(Protocol):
    """Runs a command with these variables besides PATH and LC_ALL, for so long at most."""

    def __call__(
        self, command: Sequence[str], variables: Mapping[str, str], seconds: float = _SECONDS
    ) -> Answer: ...


def find(places: Sequence[str], root: str = "/") -> str | None:
    """The first of these files that can be run."""
    files = [str(Path(root, place)) for place in places]
    return next((file for file in files if os.access(file, os.X_OK)), None)


def run(command: Sequence[str], variables: Mapping[str, str], seconds: float = _SECONDS) -> Answer:
    """Run a program to its end, or for that long."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={"PATH": _PATH, "LC_ALL": "C", **variables},
        )
    except OSError as error:
        return Answer(126, err=f"{command[0]}: {error.strerror}")
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _give_up(process)
        return Answer(None)
    return Answer(process.returncode, out, err)


def _give_up(process: subprocess.Popen[str]) -> None:
    """Kill it, but do not wait for it: a program that hangs in a driver does not die."""
    process.kill()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)

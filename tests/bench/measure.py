# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program and all it starts take: time, CPU time, memory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import threading
import time
import typing as t
from pathlib import Path

EVERY = 0.05
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Taken:
    """Seconds of the clock, seconds of CPU, and bytes of memory of all processes together."""

    seconds: float
    cpu: float
    memory: int
    status: int = 0


class Run:
    """A program that runs, in a session of its own."""

    def __init__(
        self, command: t.Sequence[str], folder: Path, env: t.Mapping[str, str], log: Path
    ) -> None:
        self._began = time.perf_counter()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._ended = threading.Event()
        self._memory = 0
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing is left running, whatever happened."""
        if self._process.returncode is None:
            self.kill()

    def wait(self) -> Taken:
        """Wait for its end."""
        _pid, status, usage = os.wait4(self._process.pid, 0)
        seconds = time.perf_counter() - self._began
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()
        self._watch.join()
        cpu = usage.ru_utime + usage.ru_stime
        return Taken(seconds, cpu, self._memory, self._process.returncode)

    def kill(self) -> Taken:
        """End it and all it started without a word; what it took until then."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return self.wait()

    @property
    def has_ended(self) -> bool:
        # Not taken notice of, so that wait still learns what it took.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            self._memory = max(self._memory, sum(map(peak_of, family(self._process.pid))))


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                found += family(int(child))
    return found


def peak_of(pid: int) -> int:
    """The most memory that the process ever held; the kernel notes it, so none is missed."""
    with contextlib.suppress(OSError):
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text("utf-8"))
        return int(found[1]) * 1024 if found else 0
    return 0

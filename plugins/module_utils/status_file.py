# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far long work is, in a small file for the action plugin that shows it. Private."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import typing as t

from .atomic import write_json

if t.TYPE_CHECKING:
    from collections.abc import Callable

WRITE_EVERY = 1.0


class Measured(t.Protocol):
    """Work whose progress is counted in bytes."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def phase(self) -> str: ...
    @property
    def writer(self) -> int | None: ...


@dataclasses.dataclass(frozen=True)
class Nothing:
    """The progress of what is only just beginning."""

    done: int = 0
    total: int = 0
    rate: float = 0.0
    phase: str = "starting"
    writer: int | None = None


class StatusFile:
    """A small file that says how far the work is, for whoever wants to show it or stop it."""

    def __init__(self, path: str | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._written: float | None = None

    def begin(self) -> None:
        """Write who works, before there is any progress."""
        self.update("", Nothing())

    def update(self, name: str, progress: Measured) -> None:
        """Write the present state, at most once a second."""
        now = self._clock()
        if not self._path or (self._written is not None and now - self._written < WRITE_EVERY):
            return
        self._written = now
        status = {
            "name": name,
            "pid": os.getpid(),
            "phase": progress.phase,
            "writer": progress.writer,
            "bytes_done": progress.done,
            "bytes_total": progress.total,
            "bytes_per_second": round(progress.rate),
        }
        # Showing progress is not worth failing for.
        with contextlib.suppress(OSError):
            write_json(self._path, status)

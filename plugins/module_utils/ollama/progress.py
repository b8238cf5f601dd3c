# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a pull is, reckoned from the lines the server sends. Private."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.rate import Rate

# "as StatusFile": exported, progress and the place where it is written are used together.
from ansible_collections.edgellm.host.plugins.module_utils.status_file import (
    StatusFile as StatusFile,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Progress:
    """Bytes that arrived, and since when none did."""

    phase = "fetching"
    writer: int | None = None

    def __init__(self, total: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self._clock = clock
        self._moved = clock()
        self._rate = Rate(clock=clock)
        self._first: dict[str, int] = {}
        # What the server had of it from an earlier pull took no time.
        self._had: dict[str, int] = {}
        self._now: dict[str, int] = {}
        self._downloading = False

    def feed(self, line: Mapping[str, t.Any]) -> None:
        """Take one status line into account."""
        digest, size = line.get("digest"), line.get("total")
        self._downloading = False
        if not isinstance(digest, str) or not isinstance(size, int):
            self._moved = self._clock()
            return
        completed = int(line.get("completed") or 0)
        if digest not in self._first:
            # A blob that is there already is reported once, as complete: it was not fetched.
            self._first[digest] = completed if completed == size else 0
            self._had[digest] = completed
        if self._now.get(digest) != completed:
            self._now[digest] = completed
            self._moved = self._clock()
        self._downloading = completed < size
        self._rate.feed(sum(now - self._had[digest] for digest, now in self._now.items()))

    @property
    def done(self) -> int:
        return sum(now - self._first[digest] for digest, now in self._now.items())

    @property
    def rate(self) -> float:
        """Bytes per second of late."""
        return self._rate.value

    @property
    def stalled_for(self) -> float:
        """Seconds without a new byte, although the server says that it is downloading."""
        return self._clock() - self._moved if self._downloading else 0.0

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a download is, and how fast. Private."""

from __future__ import annotations

import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable


class Progress:
    """Bytes on disk, of which those from an earlier run cost no time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.done = 0
        self.total = 0
        self._clock = clock
        self._started = clock()
        self._fetched = 0

    def feed(self, done: int, total: int, fetched: int) -> None:
        self.done, self.total, self._fetched = done, total, fetched

    @property
    def rate(self) -> float:
        """Bytes per second since the start."""
        seconds = self._clock() - self._started
        return self._fetched / seconds if seconds > 0 else 0.0

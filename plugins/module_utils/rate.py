# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast something is at present. Private."""

from __future__ import annotations

import collections
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 15.0
STEP_SECONDS = 0.5


class Rate:
    """Bytes per second of late. What was there at the beginning was not moved."""

    def __init__(self, moved: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moved = moved
        self._seen = collections.deque([(clock(), moved)])

    def feed(self, moved: int) -> None:
        """So many bytes were moved in all."""
        now = self._clock()
        self._moved = moved
        if now - self._seen[-1][0] >= STEP_SECONDS:
            self._seen.append((now, moved))
            self._forget(now)

    def _forget(self, now: float) -> None:
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def value(self) -> float:
        now = self._clock()
        self._forget(now)
        since, before = self._seen[0]
        return (self._moved - before) / (now - since) if now > since else 0.0

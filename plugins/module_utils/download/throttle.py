# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No more bytes per second than wanted, over all lanes together. Private."""

from __future__ import annotations

import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable

# What a lane must be left with to be worth a connection.
LEAST_RATE = 256 * 1024
# How much may come at once after a silence.
BURST_SECONDS = 0.25


class Throttle:
    """A budget of bytes per second; without a limit nothing is waited for."""

    def __init__(
        self,
        rate: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def lanes(self, wanted: int) -> int:
        """How many lanes are of use at this rate."""
        return wanted if self.rate is None else max(1, min(wanted, self.rate // LEAST_RATE))

    def piece(self, most: int) -> int:
        """How much to read at once so that the pauses stay short."""
        return most if self.rate is None else max(4096, min(most, self.rate // 32))

    def spend(self, count: int) -> None:
        """Wait until so many bytes were allowed."""
        if self.rate is None:
            return
        with self._lock:
            now = self._clock()
            self._free_at = max(self._free_at, now - BURST_SECONDS) + count / self.rate
            pause = self._free_at - now
        if pause > 0:
            self._sleep(pause)

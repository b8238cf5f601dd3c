# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a download is, and how fast. Private."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.rate import Rate

if t.TYPE_CHECKING:
    from collections.abc import Callable


class Progress:
    """Bytes of what is being done. When something else is begun, the speed starts anew."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.done = 0
        self.total = 0
        self.phase = "starting"
        # The process that does it, if that is another one.
        self.writer: int | None = None
        self._clock = clock
        self._rate: Rate | None = None

    def enter(self, phase: str, writer: int | None) -> None:
        self.phase, self.writer, self._rate = phase, writer, None

    def feed(self, done: int, total: int, fetched: int) -> None:
        self.done, self.total = done, total
        # What was there already was not fetched, and does not make the line fast.
        moved = fetched if self.phase == "fetching" else done
        if self._rate is None:
            self._rate = Rate(moved, clock=self._clock)
        self._rate.feed(moved)

    @property
    def rate(self) -> float:
        """Bytes per second of late."""
        return self._rate.value if self._rate else 0.0

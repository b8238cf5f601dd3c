# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How often and how fast to try again. Private."""

from __future__ import annotations

import random
import time
import typing as t

from .errors import DownloadError, Transient

if t.TYPE_CHECKING:
    from collections.abc import Callable

BASE_SECONDS = 1.0
LONGEST_SECONDS = 60.0
# A server that asks for more than this is told to the person instead.
LONGEST_WISH = 600.0


class Patience:
    """A budget of retries that progress refills."""

    def __init__(
        self,
        retries: int,
        *,
        longest: float = LONGEST_WISH,
        sleep: Callable[[float], object] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.retries = retries
        self.used = 0
        self._row = 0
        self._longest = longest
        self._sleep = sleep
        self._chance = chance

    def refill(self) -> None:
        """Something arrived: what went wrong before no longer counts."""
        self._row = 0

    def wait(self, fault: Transient) -> None:
        """Wait before the next attempt, or raise what went wrong when there is none left."""
        self.rest(self.pause(fault))

    def rest(self, seconds: float) -> None:
        self._sleep(seconds)

    def pause(self, fault: Transient) -> float:
        """How many seconds to wait, or raise what went wrong when no attempt is left."""
        if self._row >= self.retries:
            tried = f" Tried {self._row + 1} times in a row." if self._row else ""
            raise DownloadError(
                f"{fault}{tried} What was fetched is kept: run it again."
            ) from fault
        wish = fault.retry_after
        if wish is not None and wish > self._longest:
            raise DownloadError(
                f"{fault} It asks to come back in {wish:.0f} seconds. What was fetched is kept: "
                "run it again then."
            ) from fault
        pause = min(BASE_SECONDS * 2.0**self._row, LONGEST_SECONDS) * (0.5 + self._chance())
        self._row += 1
        self.used += 1
        # Many hosts that were told the same second must not all come back in it.
        return pause if wish is None else wish + min(pause, 1.0)

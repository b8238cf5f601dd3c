# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for another writer of the same file. Private."""

from __future__ import annotations

import time
import typing as t

from . import lock, partial

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .identity import Identity

POLL = 0.5
# Its longest backoff comes on top of the silence that it bears.
LEAST_SECONDS, BACKOFF_SECONDS = 60.0, 60.0


def patience(timeout: float) -> float:
    """How many seconds a writer may stand still that waits so long for an answer."""
    return max(timeout, LEAST_SECONDS) + BACKOFF_SECONDS


def wait(dest: Path, identity: Identity, report: Callable[[int], object], *, most: float) -> bool:
    """Wait until nobody has the lock, and tell how far the other one is.

    False if the other one has stood still for C(most) seconds: no byte came, and nothing was
    computed either, as it is when a large file is hashed.
    """
    place = partial.lock_of(dest, identity)
    before: tuple[int, int | None] | None = None
    moved = time.monotonic()
    while (holder := lock.holder_of(place)) is not None:
        done = partial.shared_bytes(dest, identity)
        report(done)
        now, life = time.monotonic(), (done, lock.cpu_seconds(holder.get("pid")))
        if life != before:
            before, moved = life, now
        elif now - moved >= most:
            return False
        time.sleep(POLL)
    return True

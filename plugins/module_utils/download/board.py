# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who fetches which bytes, and what the idle take from the slow. Private.

It knows of no connection and no thread, and takes the time as it is told.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import threading
import typing as t

from .spans import Spans

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .spans import Range

CHUNK = 64 * 1024 * 1024
# The hash follows the beginning without a gap, so what is in the air at the end is hashed when all
# has arrived: chunks become smaller towards the end. But every chunk is a request, and those are
# counted by the source.
LEAST_CHUNK = 8 * 1024 * 1024
AIR = 2
# What is worth a request of its own.
LEAST_TAIL = 1024 * 1024
# A job is judged after this time, and one that was silent for as long stands still.
JUDGED_AFTER = 3.0
# What is over this soon stays where it is.
SOON = 1.0
# How much faster a lane must be to take everything from another.
MUCH_FASTER = 2


@dataclasses.dataclass(eq=False)
class Job:
    """A range that somebody fetches. C(end) may come closer meanwhile."""

    first: int
    end: int
    began: float
    # Up to here its holder has announced to write, and up to here it has written.
    claimed: int
    written: int
    heard: float
    # How often the range was taken from somebody who did not get on with it.
    moves: int = 0
    received: int = 0
    void: bool = False

    @property
    def rest(self) -> int:
        return self.end - self.claimed

    def rate(self, now: float) -> float:
        """Bytes per second; nothing if it is silent."""
        if now - self.heard >= JUDGED_AFTER:
            return 0.0
        return (self.claimed - self.first) / max(now - self.began, 0.001)


def chunk_size(missing: int, lanes: int, wanted: int = CHUNK) -> int:
    """The size of the next chunk of so many bytes. Pure."""
    fair = math.ceil(missing / (lanes * AIR))
    return min(wanted, max(fair, LEAST_CHUNK))


def handed_over(rest: int, holder: float, idle: float) -> int:
    """How many of the last bytes of a job an idle lane should take, at these rates. Pure."""
    if holder and rest / holder <= SOON:
        return 0
    if not holder:
        return rest
    tail = int(rest * idle / (idle + holder))
    if rest - tail >= LEAST_TAIL:
        return tail if tail >= LEAST_TAIL else 0
    return rest if idle >= MUCH_FASTER * holder else 0


class Board:
    """What is to be fetched, what is being fetched. Every method may be called by any thread."""

    def __init__(self, missing: Iterable[Range], chunk: Callable[[int], int]) -> None:
        self._open: collections.deque[tuple[int, int, int]] = collections.deque()
        ranges = Spans(missing)
        left = ranges.total
        for first, end in ranges.ranges:
            while first < end:
                border = min(first + chunk(left), end)
                self._open.append((first, border, 0))
                first, left = border, left - (border - first)
        self._jobs: list[Job] = []
        self._changed = threading.Condition()

    @property
    def is_done(self) -> bool:
        """Whether everything is written. Somebody may yet hold a job of which nothing is left."""
        with self._changed:
            held = [job for job in self._jobs if not job.void or job.written < job.end]
            return not self._open and not held

    @property
    def jobs(self) -> tuple[Job, ...]:
        """What is being fetched."""
        with self._changed:
            return tuple(self._jobs)

    def take(self, now: float) -> Job | None:
        """The next range that nobody has."""
        with self._changed:
            if not self._open:
                return None
            first, end, moves = self._open.popleft()
            return self._begin(first, end, now, moves)

    def relieve(self, now: float, rate: float) -> tuple[Job, Job] | None:
        """A job made of the end of another one, and the other one; void if nothing is left of it.

        C(rate) is that of the lane that has nothing else to do.
        """
        with self._changed:
            judged = [job for job in self._jobs if self._may_be_judged(job, now)]
            for job in sorted(judged, key=lambda job: _seconds(job, now), reverse=True):
                tail = handed_over(job.rest, job.rate(now), rate)
                if tail <= 0:
                    continue
                end, job.end = job.end, job.end - tail
                if job.end == job.claimed:
                    job.void = True
                moves = job.moves + 1 if job.void else 0
                return self._begin(job.end, end, now, moves), job
            return None

    def claim(self, job: Job, count: int, now: float) -> int:
        """How many bytes the holder may write behind what it claimed before."""
        with self._changed:
            granted = 0 if job.void else min(count, job.rest)
            job.claimed += granted
            job.received += count
            job.heard = now
            return granted

    def wrote(self, job: Job) -> None:
        """All that was claimed is written."""
        with self._changed:
            job.written = job.claimed
            self._changed.notify_all()

    def failed(self, job: Job) -> None:
        """What was claimed could not be written."""
        with self._changed:
            job.claimed = job.written
            self._changed.notify_all()

    def end(self, job: Job) -> None:
        """The holder is done with it; what it did not write is open again, first of all."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
            if job.written < job.end:
                self._open.appendleft((job.written, job.end, job.moves))
            job.void = True
            self._changed.notify_all()

    def take_back(self, job: Job) -> bool:
        """Whether what its holder wrote may still be undone. If so, it is waited for until it is
        said to have C(failed).
        """
        with self._changed:
            if not job.void:
                job.written = job.first
            return not job.void

    def stop(self, seconds: float) -> bool:
        """Void all jobs; whether afterwards nobody writes any more."""
        with self._changed:
            for job in self._jobs:
                job.void = True
            return self._changed.wait_for(
                lambda: all(job.written == job.claimed for job in self._jobs), seconds
            )

    def _begin(self, first: int, end: int, now: float, moves: int) -> Job:
        job = Job(first, end, now, claimed=first, written=first, heard=now, moves=moves)
        self._jobs.append(job)
        return job

    def _may_be_judged(self, job: Job, now: float) -> bool:
        # When the source itself stands still, nobody gets on: then ever more seldom.
        return not job.void and job.rest > 0 and now - job.began >= JUDGED_AFTER * 2**job.moves


def _seconds(job: Job, now: float) -> float:
    """How long it will still take."""
    rate = job.rate(now)
    return job.rest / rate if rate else math.inf

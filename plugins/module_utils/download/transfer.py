# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetch what is missing of a file, and decide what each fault means. Private.

Lanes fetch and tell; everything is decided here, in one thread, one event after the other.
"""

from __future__ import annotations

import dataclasses
import queue
import time
import typing as t

from .board import CHUNK, Board, chunk_size
from .errors import (
    BadRange,
    Busy,
    Changed,
    Doubtful,
    DownloadError,
    LinkExpired,
    NoRanges,
    RangeIgnored,
    Transient,
)
from .lane import Answered, Ask, Ended, Lane
from .throttle import Throttle

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .board import Job
    from .http import Http
    from .partial import Partial
    from .patience import Patience
    from .resolve import Remote

# How much must arrive before earlier failures are forgotten.
PROGRESS = 64 * 1024
# A server that gave a wrong part twice in a row is asked for the whole, and one whose links were
# refused twice in a row is asked over one connection.
TWICE = 2
# How often somebody looks whether a lane is slow and how far everything is.
TICK = 0.25
# How long the end waits for a lane that is writing.
WRITING = 60.0


@dataclasses.dataclass(frozen=True)
class Shape:
    """How much at once. C(max_rate) is in bytes per second, of all lanes together."""

    lanes: int = 1
    chunk_size: int = CHUNK
    max_rate: int | None = None


class Transfer:
    """One file from one source into one partial."""

    def __init__(
        self,
        open_http: Callable[[], Http],
        remote: Remote,
        partial: Partial,
        patience: Patience,
        *,
        is_same: Callable[[], bool],
        report: Callable[[int], None],
        magic: bytes = b"",
        shape: Shape | None = None,
        keeps_etag: bool = True,
    ) -> None:
        shape = shape or Shape()
        self._open_http = open_http
        self._partial = partial
        self._patience = patience
        self._is_same = is_same
        self._report = report
        # Of a mirror it would only mislead whoever goes on elsewhere.
        self._keeps_etag = keeps_etag
        self._size = partial.identity.size
        self._farthest = partial.done
        self._throttle = Throttle(shape.max_rate)
        # Without a hash and without an ETag nothing tells the parts of two versions apart.
        if partial.identity.sha256:
            # What is there may be from somebody with another idea of the ETag.
            etag = remote.etag or partial.etag
        else:
            etag = partial.etag or remote.etag
        provable = partial.identity.sha256 or etag
        self._most = self._throttle.lanes(shape.lanes) if provable else 1
        # The first answer tells whether the server gives parts at all.
        self._width = 1
        self._proven = False
        self._ask = Ask(
            remote.url,
            self._size,
            etag=etag,
            strict=partial.identity.sha256 is None,
            magic=magic,
        )
        missing = partial.missing()

        def chunk(left: int) -> int:
            # One lane alone does not need to ask twice for what it can have at once.
            return chunk_size(left, self._most, shape.chunk_size) if self._most > 1 else left

        if missing == [(0, self._size)] and self._size <= chunk(self._size):
            self._ask = dataclasses.replace(self._ask, whole=True)
        self._board = Board(missing, chunk)
        self._events: queue.SimpleQueue[Answered | Ended] = queue.SimpleQueue()
        self._idle: list[Lane] = []
        self._busy: dict[Job, Lane] = {}
        self._received = 0
        self._wrong_parts = self._expired = 0
        self._resume_at = 0.0
        # Faults of what was asked before this moment are known already.
        self._known_at = 0.0

    @property
    def received(self) -> int:
        """What came over the network, be it of use or not."""
        return self._received + sum(job.received for job in self._busy)

    def run(self) -> None:
        """Fetch until the file is complete, whatever happens on the way."""
        try:
            self._tell()
            while not self._board.is_done:
                self._hand_out()
                self._listen()
        finally:
            self._stop()
            for lane in self._idle:
                lane.finish()
                lane.join()

    # --- hand out ----------------------------------------------------------------------------

    def _hand_out(self) -> None:
        now = time.monotonic()
        while now >= self._resume_at and len(self._busy) < self._width:
            job = self._board.take(now) or self._relief(now)
            if job is None:
                return
            lane = self._idle.pop() if self._idle else self._new_lane()
            self._busy[job] = lane
            lane.begin(self._board, job, self._ask)

    def _relief(self, now: float) -> Job | None:
        rate = max((lane.rate for lane in self._idle), default=0.0)
        if self._ask.whole or not self._proven:
            return None
        found = self._board.relieve(now, rate)
        if found is None:
            return None
        job, slow = found
        if slow.void:
            self._busy[slow].abort()
        return job

    def _new_lane(self) -> Lane:
        lane = Lane(self._open_http, self._partial, self._throttle, self._events)
        lane.start()
        return lane

    # --- listen ------------------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            event = self._events.get(timeout=TICK)
        except queue.Empty:
            pass
        else:
            self._hear(event)
        self._tell()

    def _hear(self, event: Answered | Ended) -> None:
        lane = self._busy.get(event.job)
        if lane is None:
            # It was stopped, and does not matter any more.
            return
        if isinstance(event, Answered):
            if not event.job.void:
                self._welcome(event.etag)
            return
        self._tell()
        unwanted = event.job.void
        self._received += event.job.received
        del self._busy[event.job]
        self._board.end(event.job)
        self._idle.append(lane)
        if event.fault is None:
            self._width = min(self._width + 1, self._most)
        elif not isinstance(event.fault, Transient):
            raise event.fault
        # One broken line breaks all lanes, and counts once.
        elif not unwanted and event.job.began >= self._known_at:
            self._meet(event.fault)
            self._known_at = time.monotonic()

    def _welcome(self, etag: str | None) -> None:
        """A good answer: as many more as may be."""
        if self._keeps_etag:
            self._partial.etag = etag
        if etag:
            self._ask = dataclasses.replace(self._ask, etag=etag)
        self._wrong_parts = self._expired = 0
        if not self._proven:
            self._proven, self._width = True, self._most

    def _meet(self, fault: Transient) -> None:
        """Do what the fault calls for."""
        if isinstance(fault, RangeIgnored):
            self._ask_again()
            # The same file after all. Perhaps this server has another idea of its ETag.
            self._ask = dataclasses.replace(self._ask, conditional=False)
            return
        self._partial.checkpoint()
        if not isinstance(fault, NoRanges):
            self._wait(self._patience.pause(fault))
        if isinstance(fault, Doubtful):
            self._ask_again()
        if isinstance(fault, Busy):
            self._width = max(1, self._width // 2)
        if isinstance(fault, LinkExpired):
            self._expired += 1
            if self._expired >= TWICE:
                self._most = self._width = 1
        if isinstance(fault, BadRange):
            self._wrong_parts += 1
        if isinstance(fault, NoRanges) or self._wrong_parts >= TWICE or self._is_blind:
            self._take_whole()
        elif self._ask.whole and self._partial.done:
            # What is there already need not come again.
            self._ask = dataclasses.replace(self._ask, whole=False)

    @property
    def _is_blind(self) -> bool:
        """Whether nothing would tell that the rest is of another version than the beginning."""
        identity = self._partial.identity
        return not (identity.sha256 or identity.version or identity.commit or self._ask.etag)

    def _wait(self, seconds: float) -> None:
        if self._busy:
            self._resume_at = time.monotonic() + seconds
        else:
            self._patience.rest(seconds)

    def _ask_again(self) -> None:
        if not self._is_same():
            raise Changed(f"{self._partial.identity.source} changed while it was fetched.")

    def _take_whole(self) -> None:
        """From the start over one connection, without any range."""
        self._stop()
        self._partial.rewind()
        self._board = Board([(0, self._size)], lambda left: left)
        self._ask = dataclasses.replace(self._ask, whole=True, conditional=False)
        self._most = self._width = 1

    def _stop(self) -> None:
        """Have nobody write any more. Who still waits for an answer will find its job void."""
        quiet = self._board.stop(WRITING)
        for lane in self._busy.values():
            lane.abort()
            lane.finish()
        self._received += sum(job.received for job in self._busy)
        self._busy.clear()
        if not quiet:
            raise DownloadError(f"The disk of {self._partial.path} has not answered for a minute.")

    def _tell(self) -> None:
        done = self._partial.done
        self._report(done)
        # Only what has never been reached counts: a server that starts over every time and always
        # stops at the same place makes no progress.
        if done >= min(self._farthest + PROGRESS, self._size):
            self._farthest = done
            self._patience.refill()

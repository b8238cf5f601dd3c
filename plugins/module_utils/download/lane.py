# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection after another, each for one range of the file. Private."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
import typing as t

from .errors import BadRange, Doubtful, Lost, NoRanges, NotTheFile, RangeIgnored
from .resolve import part_of

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .board import Board, Job
    from .http import Answer, Http
    from .partial import Partial
    from .throttle import Throttle

BUFFER = 256 * 1024


@dataclasses.dataclass(frozen=True)
class Ask:
    """How to ask for a range. C(etag) is that of the version that is wanted, if known."""

    url: str
    size: int
    etag: str | None = None
    # The whole without a range: for servers that do not like ranges.
    whole: bool = False
    # If-Range, as long as nothing spoke against it.
    conditional: bool = True
    # Nothing will prove the whole, so that every piece must say that it is of this version.
    strict: bool = False
    magic: bytes = b""

    def headers(self, first: int, end: int) -> dict[str, str]:
        if self.whole:
            return {}
        headers = {"Range": f"bytes={first}-" + ("" if end == self.size else str(end - 1))}
        if self.etag and self.conditional:
            headers["If-Range"] = self.etag
        return headers


@dataclasses.dataclass(frozen=True)
class Answered:
    """The answer is good, and the body is on its way."""

    job: Job
    etag: str | None


@dataclasses.dataclass(frozen=True)
class Ended:
    """The lane is idle again. Without a fault its range may yet have got shorter."""

    lane: Lane
    job: Job
    fault: Exception | None


class _Caught:
    """Whatever goes wrong in a thread must reach the one that decides."""

    fault: Exception | None = None

    def __enter__(self) -> _Caught:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, Exception):
            self.fault = error
        return error is self.fault


class Lane(threading.Thread):
    """A thread with connections of its own. It says what happened, and decides nothing."""

    def __init__(
        self,
        open_http: Callable[[], Http],
        partial: Partial,
        throttle: Throttle,
        events: queue.SimpleQueue[Answered | Ended],
    ) -> None:
        super().__init__(name="lane", daemon=True)
        self.rate = 0.0
        self._open_http = open_http
        self._partial = partial
        self._throttle = throttle
        self._events = events
        self._todo: queue.SimpleQueue[tuple[Board, Job, Ask] | None] = queue.SimpleQueue()
        self._http: Http | None = None
        self._answer: Answer | None = None
        self._buffer = memoryview(bytearray(throttle.piece(BUFFER)))

    def begin(self, board: Board, job: Job, ask: Ask) -> None:
        self._todo.put((board, job, ask))

    def finish(self) -> None:
        """Let the thread end when it is done with what it does."""
        self._todo.put(None)

    def abort(self) -> None:
        """Do not let it wait for what nobody wants any more. Its job must be void before."""
        http, answer = self._http, self._answer
        if http is not None:
            http.abort()
        if answer is not None:
            answer.abort()

    def run(self) -> None:
        with self._open_http() as http:
            self._http = http
            while todo := self._todo.get():
                board, job, ask = todo
                http.renew()
                with _Caught() as caught:
                    # Whoever aborts it from here on wakes it.
                    if not job.void:
                        self._fetch(http, board, job, ask)
                self._answer = None
                self._judge(job)
                self._events.put(Ended(self, job, caught.fault))

    def _judge(self, job: Job) -> None:
        seconds = time.monotonic() - job.began
        if job.written > job.first and seconds > 0:
            self.rate = (job.written - job.first) / seconds

    def _fetch(self, http: Http, board: Board, job: Job, ask: Ask) -> None:
        end = job.end
        with http.open("GET", ask.url, ask.headers(job.first, end)) as answer:
            self._answer = answer
            if job.void:
                # Whoever aborts it may have come too early to find the answer.
                return
            if answer.status not in (200, 206):
                raise answer.failure()
            answer.refuse_other_content()
            if answer.status == 206 and not ask.whole:
                end = _end_of_part(answer, ask, job.first, end)
            else:
                _refuse_whole(answer, ask)
            _refuse_other_version(answer, ask)
            self._events.put(Answered(job, answer.etag))
            self._read(answer, board, job, end, ask.magic)

    def _read(self, answer: Answer, board: Board, job: Job, end: int, magic: bytes) -> None:
        first = at = job.first
        for data in answer.pieces(self._buffer):
            if at == 0:
                _refuse_other_format(answer, data, magic)
            if at + len(data) > end:
                # Whatever this is, its beginning is not to be trusted either.
                self._undo(board, job, at)
                raise Doubtful(f"{answer.where} sends more than the {end - first} bytes it owes.")
            granted = board.claim(job, len(data), time.monotonic())
            if granted:
                self._write(board, job, data[:granted], at)
                at += granted
            if granted < len(data) or (job.rest == 0 and end > job.end):
                # The rest is somebody else's now.
                return
            self._throttle.spend(len(data))
        if at < end and not job.void and at < job.end:
            raise Lost(f"{answer.where} ended {end - at} bytes too early.")

    def _write(self, board: Board, job: Job, data: bytes | memoryview, at: int) -> None:
        try:
            self._partial.write(data, at)
        except BaseException:
            # Nobody shall wait for it.
            board.failed(job)
            raise
        board.wrote(job)

    def _undo(self, board: Board, job: Job, end: int) -> None:
        if end > job.first and board.take_back(job):
            try:
                self._partial.forget(job.first, end)
            finally:
                board.failed(job)


def _end_of_part(answer: Answer, ask: Ask, first: int, end: int) -> int:
    part = part_of(answer)
    said = answer.headers.get("content-range", "nothing")
    fits = part and part.first == first and part.last < end and part.total in (ask.size, None)
    if part is None or not fits:
        raise BadRange(
            f"{answer.where} was asked for {first}-{end - 1} of {ask.size} bytes and sends {said}."
        )
    return part.last + 1


def _refuse_whole(answer: Answer, ask: Ask) -> None:
    if answer.status == 206:
        raise BadRange(f"{answer.where} sends a part of the file although none was asked for.")
    if answer.length not in (ask.size, None):
        raise Doubtful(f"{answer.where} sends {answer.length} bytes instead of {ask.size}.")
    if not ask.whole:
        fault = RangeIgnored if ask.conditional else NoRanges
        raise fault(f"{answer.where} sends the whole file although a part was asked for.")


def _refuse_other_version(answer: Answer, ask: Ask) -> None:
    if ask.strict and ask.etag and answer.etag and answer.etag != ask.etag:
        raise Doubtful(f"{answer.where} sends another version ({answer.etag}, not {ask.etag}).")


def _refuse_other_format(answer: Answer, data: bytes | memoryview, magic: bytes) -> None:
    head = bytes(data[: len(magic)])
    if not magic.startswith(head):
        raise NotTheFile(
            f"{answer.where} does not send a file of the wanted format: it begins with "
            f"{head!r} and not with {magic!r}."
        )

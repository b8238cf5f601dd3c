# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetch what is missing of a file, over one connection at a time. Private."""

from __future__ import annotations

import typing as t

from .errors import BadRange, Changed, Doubtful, Lost, NotTheFile, RangeIgnored, Transient
from .resolve import part_of

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .http import Answer, Http
    from .partial import Partial
    from .patience import Patience
    from .resolve import Remote

# How much must arrive before earlier failures are forgotten.
PROGRESS = 64 * 1024
# A server that gave a wrong part twice in a row is asked for the whole.
WRONG_PARTS = 2


class Transfer:
    """One file from one source into one partial."""

    def __init__(
        self,
        http: Http,
        remote: Remote,
        partial: Partial,
        patience: Patience,
        *,
        is_same: Callable[[], bool],
        report: Callable[[int], None],
        magic: bytes = b"",
    ) -> None:
        self.received = 0
        self._http = http
        self._remote = remote
        self._partial = partial
        self._patience = patience
        self._is_same = is_same
        self._report = report
        self._magic = magic
        self._size = partial.identity.size
        self._farthest = partial.done
        self._conditional = True
        self._wrong_parts = 0

    def run(self) -> None:
        """Fetch until the file is complete, whatever happens on the way."""
        self._report(self._partial.done)
        while missing := self._partial.missing():
            try:
                self._request(*missing[0])
            except RangeIgnored:
                self._ask_again()
                # The same file after all. Perhaps this server has another idea of its ETag.
                self._conditional = False
            except Transient as fault:
                self._partial.checkpoint()
                self._patience.wait(fault)
                if isinstance(fault, Doubtful):
                    self._ask_again()
                if isinstance(fault, BadRange):
                    self._wrong_parts += 1
                if self._wrong_parts >= WRONG_PARTS and self._partial.done:
                    self._partial.rewind()

    def _ask_again(self) -> None:
        if not self._is_same():
            raise Changed(f"{self._partial.identity.source} changed while it was fetched.")

    def _request(self, first: int, end: int) -> None:
        headers = {}
        if (first, end) != (0, self._size):
            headers["Range"] = f"bytes={first}-" + ("" if end == self._size else str(end - 1))
            etag = self._partial.etag or self._remote.etag
            if etag and self._conditional:
                headers["If-Range"] = etag
        with self._http.open("GET", self._remote.url, headers) as answer:
            if answer.status not in (200, 206):
                raise answer.failure()
            answer.refuse_other_content()
            if answer.status == 206:
                end = self._end_of_part(answer, first, end)
            else:
                first, end = 0, self._end_of_whole(answer)
            self._partial.etag = answer.etag
            self._read(answer, first, end)

    def _end_of_part(self, answer: Answer, first: int, end: int) -> int:
        part = part_of(answer)
        said = answer.headers.get("content-range", "nothing")
        if part is None or part.first != first or part.total not in (self._size, None):
            raise BadRange(
                f"{answer.where} was asked for {first}-{end - 1} of {self._size} bytes "
                f"and sends {said}."
            )
        if part.last >= end:
            raise BadRange(f"{answer.where} sends {said}, but was asked for {first}-{end - 1}.")
        self._refuse_other_version(answer)
        self._wrong_parts = 0
        return part.last + 1

    def _end_of_whole(self, answer: Answer) -> int:
        if answer.length not in (self._size, None):
            raise Doubtful(f"{answer.where} sends {answer.length} bytes instead of {self._size}.")
        if self._partial.done and self._conditional:
            raise RangeIgnored(f"{answer.where} does not continue what was begun.")
        self._refuse_other_version(answer)
        if self._partial.done:
            self._partial.rewind()
        return self._size

    def _refuse_other_version(self, answer: Answer) -> None:
        """Without a hash that will prove the whole, every piece must be of the same version."""
        known = self._partial.etag or self._remote.etag
        if self._partial.identity.sha256 or not known or not answer.etag:
            return
        if answer.etag != known:
            raise Doubtful(f"{answer.where} sends another version ({answer.etag}, not {known}).")

    def _read(self, answer: Answer, first: int, end: int) -> None:
        at = first
        for data in answer.body():
            self.received += len(data)
            if at == 0:
                self._refuse_other_format(answer, data)
            if at + len(data) > end:
                # Whatever this is, its beginning is not to be trusted either.
                self._partial.forget(first, at)
                raise Doubtful(f"{answer.where} sends more than the {end - first} bytes it owes.")
            self._partial.write(data, at)
            at += len(data)
            done = self._partial.done
            self._report(done)
            self._refill(done)
        if at < end:
            raise Lost(f"{answer.where} ended {end - at} bytes too early.")

    def _refuse_other_format(self, answer: Answer, data: bytes) -> None:
        head = data[: len(self._magic)]
        if not self._magic.startswith(head):
            raise NotTheFile(
                f"{answer.where} does not send a file of the wanted format: it begins with "
                f"{head!r} and not with {self._magic!r}."
            )

    def _refill(self, done: int) -> None:
        # Only what has never been reached counts: a server that starts over every time and always
        # stops at the same place makes no progress.
        if done >= min(self._farthest + PROGRESS, self._size):
            self._farthest = done
            self._patience.refill()

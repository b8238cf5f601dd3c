# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the beginning of a file at its source, and fetch no more of it than is read. Private."""

from __future__ import annotations

import typing as t

from .errors import BadRange, Doubtful, Lost, Transient
from .resolve import part_of

if t.TYPE_CHECKING:
    from .http import Answer, Http
    from .patience import Patience
    from .resolve import Remote

# What one request asks for: as much as all before it together, between these two.
LEAST = 1 << 20
MOST = 16 << 20


class Beginning:
    """A file to read from, whose bytes come by ranges as they are needed."""

    def __init__(self, http: Http, remote: Remote, patience: Patience) -> None:
        self._http = http
        self._remote = remote
        self._patience = patience
        self._buffer = b""
        self._position = 0
        # None as long as the source does not say.
        self.size = remote.size
        # What came over the network, be it of use or not.
        self.fetched = 0

    def read(self, size: int, /) -> bytes:
        """At most this many bytes; none at the end of the file."""
        if not self._buffer:
            self._fill(max(size, LEAST, min(self._position, MOST)))
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        return piece

    def _fill(self, count: int) -> None:
        if self.size is not None:
            count = min(count, self.size - self._position)
        if count <= 0:
            return
        while True:
            try:
                self._buffer = self._fetch(count)
            except Transient as fault:
                self._patience.wait(fault)
            else:
                break
        self._patience.refill()
        self._position += len(self._buffer)

    def _fetch(self, count: int) -> bytes:
        first, last = self._position, self._position + count - 1
        headers = {"Range": f"bytes={first}-{last}"}
        with self._http.open("GET", self._remote.url, headers) as answer:
            if answer.status not in (200, 206):
                raise answer.failure()
            answer.refuse_other_content()
            self._refuse_other_version(answer)
            if answer.status == 206:
                self._refuse_other_part(answer, first)
                return self._take(answer, 0, count)
            # The whole file is on its way: what is not wanted is not waited for.
            self._settle(answer, answer.length)
            return self._take(answer, first, count)

    def _refuse_other_part(self, answer: Answer, first: int) -> None:
        part = part_of(answer)
        if part is None or part.first != first:
            said = answer.headers.get("content-range", "nothing")
            raise BadRange(f"{answer.where} was asked for bytes from {first} and sends {said}.")
        self._settle(answer, part.total)

    def _settle(self, answer: Answer, size: int | None) -> None:
        if self.size is None:
            self.size = size
        elif size not in (self.size, None):
            raise Doubtful(f"{answer.where} has {size} bytes now, and had {self.size} before.")

    def _refuse_other_version(self, answer: Answer) -> None:
        # A file of a commit stays the same, whatever those who deliver it call it.
        known = None if self._remote.commit else self._remote.etag
        if known and answer.etag and answer.etag != known:
            raise Doubtful(f"{answer.where} sends another version ({answer.etag}, not {known}).")

    def _take(self, answer: Answer, skip: int, count: int) -> bytes:
        """So many bytes of the body; fewer only at the end of the file."""
        pieces = bytearray()
        wanted = skip + count
        for data in answer.body():
            self.fetched += len(data)
            pieces += data
            if len(pieces) >= wanted:
                break
        got = bytes(pieces[skip:wanted])
        if self.size is None and len(got) < count:
            self.size = self._position + len(got)
        if self.size is not None and len(got) < min(count, self.size - self._position):
            raise Lost(f"{answer.where} ended {count - len(got)} bytes too early.")
        return got

# SPDX-License-Identifier: GPL-3.0-or-later
"""File bodies: single ranges, validators, and what is wrong with them by order."""

from __future__ import annotations

import dataclasses
import email.utils
import re
import typing as t
import zlib
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lab.origin import faults
from lab.origin.content import Content
from lab.origin.sending import send_body

CHUNK = 64 * 1024
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")


@dataclasses.dataclass(frozen=True)
class Span:
    """The bytes start..end (end excluded) of a file of `total` bytes."""

    start: int
    end: int
    total: int

    @property
    def length(self) -> int:
        return self.end - self.start


class RangeNotSatisfiable(Exception):
    """The range lies outside the file."""


def parse_range(header: str | None, total: int) -> Span | None:
    """Return the span a Range header asks for, or None for the whole file.

    Several ranges at once and malformed headers are ignored, as RFC 9110 allows.
    """
    match = _RANGE.match(header.strip()) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        if int(last) == 0 or total == 0:
            raise RangeNotSatisfiable
        return Span(max(total - int(last), 0), total, total)
    if int(first) >= total:
        raise RangeNotSatisfiable
    if last and int(last) < int(first):
        return None
    return Span(int(first), min(int(last) + 1, total) if last else total, total)


def _range_still_valid(if_range: str | None, etag: str, modified: str) -> bool:
    return if_range is None or if_range.strip() in (etag, modified)


class FileBody(Response):
    """An ASGI response that streams one file, or one range of it."""

    def __init__(
        self,
        content: Content | Path,
        *,
        content_type: str = "application/octet-stream",
        etag: str | None = None,
        extra_headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.content = content if isinstance(content, Content) else Content(content)
        self.content_type = content_type
        self.etag = etag
        self.extra_headers = extra_headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = self._content(scope)
        status, span, headers = self._answer(scope, content)
        promised: int | None = span.length
        pieces = content.pieces(span.start, span.length, CHUNK)
        if status in (200, 206) and _compressed(scope):
            status, promised, pieces = 200, None, _gzip(content.pieces(0, content.size, CHUNK))
            del headers["content-length"]
            headers.pop("content-range", None)
            headers["content-encoding"] = "gzip"
        await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
        if scope["method"] == "HEAD":
            promised, pieces = 0, iter(())
        await send_body(pieces, promised, scope, receive, send)

    def _content(self, scope: Scope) -> Content:
        """The file, or the one that it will have become by order."""
        change = None if self.content.change else faults.take(scope, "change_file")
        return dataclasses.replace(self.content, change=change) if change else self.content

    def _answer(self, scope: Scope, content: Content) -> tuple[int, Span, dict[str, str]]:
        """Status, bytes and headers, from the request's range and validators."""
        request = Headers(scope=scope)
        total = content.size
        etag = self.etag if self.etag and content == self.content else content.etag
        modified = email.utils.formatdate(content.modified, usegmt=True)
        headers = {
            "accept-ranges": "bytes",
            "content-type": self.content_type,
            "etag": etag,
            "last-modified": modified,
            **self.extra_headers,
        }
        wanted = None
        try:
            if _range_still_valid(request.get("if-range"), etag, modified):
                wanted = parse_range(request.get("range"), total)
        except RangeNotSatisfiable:
            headers |= {"content-range": f"bytes */{total}", "content-length": "0"}
            return 416, Span(0, 0, total), headers
        if wanted is not None and not faults.take(scope, "ignore_range"):
            span, named = _misplaced(scope, wanted)
            headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{named}"
            headers["content-length"] = str(span.length)
            return 206, span, headers
        if wanted is None and _not_modified(request, etag, modified):
            return 304, Span(0, 0, total), headers
        headers["content-length"] = str(total)
        return 200, Span(0, total, total), headers


def _misplaced(scope: Scope, span: Span) -> tuple[Span, int]:
    """The range to answer with and the total to name: by order not those that are right."""
    wrong = faults.take(scope, "wrong_content_range", lambda _: span.length > 1)
    if wrong == "start":
        return dataclasses.replace(span, start=span.start + 1), span.total
    return span, span.total + 1 if wrong else span.total


def _compressed(scope: Scope) -> bool:
    """Whether to send a compressed body by order; no range counts then."""
    accepted = "gzip" in Headers(scope=scope).get("accept-encoding", "")
    order = faults.take(scope, "gzip", lambda how: how == "always" or accepted)
    return order is not None


def _gzip(pieces: t.Iterable[bytes]) -> t.Iterator[bytes]:
    compressor = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    for piece in pieces:
        if packed := compressor.compress(piece):
            yield packed
    yield compressor.flush()


def _not_modified(request: t.Mapping[str, str], etag: str, modified: str) -> bool:
    if "if-none-match" in request:
        wanted = [part.strip() for part in request["if-none-match"].split(",")]
        return "*" in wanted or etag in wanted
    return request.get("if-modified-since") == modified


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]

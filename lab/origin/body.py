# SPDX-License-Identifier: GPL-3.0-or-later
"""File bodies: single ranges, validators, and the only place that sends a file's bytes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import email.utils
import os
import re
import typing as t
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

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


def etag_of(path: Path) -> str:
    """Return a strong validator: a content address if the name is one, else size and mtime."""
    if path.name.startswith("sha256-"):
        return f'"{path.name}"'
    status = path.stat()
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


def _range_still_valid(if_range: str | None, etag: str, modified: str) -> bool:
    return if_range is None or if_range.strip() in (etag, modified)


class FileBody(Response):
    """An ASGI response that streams one file, or one range of it."""

    def __init__(
        self,
        path: Path,
        *,
        content_type: str = "application/octet-stream",
        extra_headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.path_on_disk = path
        self.content_type = content_type
        self.extra_headers = extra_headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Headers(scope=scope)
        total = self.path_on_disk.stat().st_size
        etag = etag_of(self.path_on_disk)
        modified = email.utils.formatdate(self.path_on_disk.stat().st_mtime, usegmt=True)
        headers = {
            "accept-ranges": "bytes",
            "content-type": self.content_type,
            "etag": etag,
            "last-modified": modified,
            **self.extra_headers,
        }
        span, status = Span(0, total, total), 200
        try:
            if _range_still_valid(request.get("if-range"), etag, modified):
                wanted = parse_range(request.get("range"), total)
                if wanted is not None:
                    span, status = wanted, 206
                    headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{total}"
        except RangeNotSatisfiable:
            headers["content-range"] = f"bytes */{total}"
            span, status = Span(0, 0, total), 416
        if status == 200 and _not_modified(request, etag, modified):
            status, span = 304, Span(0, 0, total)
        else:
            headers["content-length"] = str(span.length)
        await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
        if scope["method"] == "HEAD":
            span = Span(0, 0, total)
        await self._send_span(span, receive, send)

    async def _send_span(self, span: Span, receive: Receive, send: Send) -> None:
        gone = asyncio.Event()
        watcher = asyncio.create_task(_watch(receive, gone))
        try:
            with self.path_on_disk.open("rb") as file:
                os.posix_fadvise(file.fileno(), span.start, span.length, os.POSIX_FADV_SEQUENTIAL)
                file.seek(span.start)
                left = span.length
                while left and not gone.is_set():
                    chunk = file.read(min(CHUNK, left))
                    if not chunk:
                        # The file shrank: ending early lets the server close the connection.
                        return
                    left -= len(chunk)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    # Gives the watcher its turn even when the socket takes everything at once.
                    await asyncio.sleep(0)
            if not gone.is_set():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher


async def _watch(receive: Receive, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _not_modified(request: t.Mapping[str, str], etag: str, modified: str) -> bool:
    if "if-none-match" in request:
        wanted = [part.strip() for part in request["if-none-match"].split(",")]
        return "*" in wanted or etag in wanted
    return request.get("if-modified-since") == modified


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]

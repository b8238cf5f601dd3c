# SPDX-License-Identifier: GPL-3.0-or-later
"""ASGI answers: Go-style JSON, and progress streams that become an error or a last line."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lab.ollama import gojson, log
from lab.ollama.errors import ApiError

Event = dict[str, t.Any]
Events = t.AsyncGenerator[Event, None]


def answer(value: t.Any, status: int = 200) -> Response:
    """Return a JSON answer as the real server's handlers send it."""
    return Response(gojson.dumps(value), status, media_type="application/json; charset=utf-8")


def error_answer(error: ApiError) -> Response:
    """Return the JSON answer of an error."""
    return answer({"error": str(error)}, error.status)


def _plain(value: t.Any, status: int = 200) -> Response:
    return Response(gojson.dumps(value), status, media_type="application/json")


class Stream(Response):
    """Events as NDJSON lines, or only the last one with `stream` off.

    An error before the first line gets its own status; later ones become a last line under 200.
    A client that goes away closes the event source at once.
    """

    def __init__(
        self,
        events: Events,
        *,
        stream: bool,
        fold: t.Callable[[list[Event]], Event] | None = None,
    ) -> None:
        super().__init__()
        self.events = events
        self.stream = stream
        self.fold = fold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender = self._lines(send) if self.stream else self._last(scope, receive, send)
        work = asyncio.ensure_future(sender)
        watch = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, watch):
                if not task.done():
                    task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    await work
            finally:
                await self.events.aclose()

    async def _lines(self, send: Send) -> None:
        try:
            first = await anext(self.events, None)
        except ApiError as error:
            await _deliver(_plain({"error": str(error)}, error.status), send)
            return
        start = {"status": 200, "headers": [(b"content-type", b"application/x-ndjson")]}
        await send({"type": "http.response.start", **start})
        if first is not None:
            await _send_line(send, first)
        try:
            async for event in self.events:
                await _send_line(send, event)
        except ApiError as error:
            await _send_line(send, {"error": str(error)})
        except Exception as error:  # the status line is gone, so the stream must carry the news
            log.error("request failed", error=repr(error))
            await _send_line(send, {"error": str(error)})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _last(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            events = [event async for event in self.events]
        except ApiError as error:
            await _deliver(_plain({"error": str(error)}, error.status), send)
            return
        if self.fold is not None:
            await _deliver(answer(self.fold(events)), send)
        else:
            await _deliver(_plain(events[-1] if events else {}), send)


async def _deliver(response: Response, send: Send) -> None:
    headers = response.raw_headers
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": False})


async def _send_line(send: Send, event: Event) -> None:
    body = (gojson.dumps(event) + "\n").encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

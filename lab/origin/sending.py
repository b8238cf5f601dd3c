# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of an answer on their way out, and what befalls them there by order."""

from __future__ import annotations

import asyncio
import contextlib
import typing as t

from starlette.types import Receive, Scope, Send

from lab.origin import faults, transport

#: How often a throttled answer sends something, per second.
_BEATS = 20
_BREAKS = ("cut_after", "reset_after", "stall_after")


async def send_body(
    pieces: t.Iterator[bytes], promised: int | None, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send the pieces until they end, the client goes away, or a rule strikes.

    `promised` is the Content-Length, if there is one.
    """
    gone = asyncio.Event()
    watcher = asyncio.create_task(_watch(receive, gone))
    try:
        sent, broken = await _send_pieces(pieces, promised, scope, send, gone)
        # Of a file that shrank, the end is missing: then the server closes the connection.
        if not broken and not gone.is_set() and promised in (None, sent):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher


async def _send_pieces(
    pieces: t.Iterator[bytes], promised: int | None, scope: Scope, send: Send, gone: asyncio.Event
) -> tuple[int, bool]:
    """Return how much was sent, and whether a rule ended it."""
    how, after = _break(scope, promised)
    rate = faults.take(scope, "throttle", lambda _: promised != 0)
    began = asyncio.get_running_loop().time()
    sent = 0
    for piece in pieces if rate is None else _small(pieces, max(1, rate // _BEATS)):
        part = piece if after is None else piece[: after - sent]
        if part:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            sent += len(part)
        if how is not None and sent == after:
            await _break_off(how, scope, gone)
            return sent, True
        # Even without a rate: the watcher gets its turn when the socket takes everything at once.
        await _pause(began + sent / rate if rate else 0.0, gone)
        if gone.is_set():
            break
    return sent, False


def _break(scope: Scope, promised: int | None) -> tuple[str | None, int | None]:
    """Which rule ends this body early, and after how many bytes."""
    for kind in _BREAKS:
        after = faults.take(scope, kind, lambda n: promised is None or n < promised)
        if after is not None:
            return kind, after
    return None, None


async def _break_off(how: str, scope: Scope, gone: asyncio.Event) -> None:
    if how == "cut_after":
        transport.close(scope)
    elif how == "reset_after":
        await transport.reset(scope)
    await gone.wait()


async def _pause(until: float, gone: asyncio.Event) -> None:
    seconds = max(until - asyncio.get_running_loop().time(), 0.0)
    if not seconds:
        await asyncio.sleep(0)
        return
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(gone.wait(), seconds)


def _small(pieces: t.Iterator[bytes], at_most: int) -> t.Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), at_most):
            yield piece[start : start + at_most]


async def _watch(receive: Receive, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()

# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket under an answer, for faults that HTTP has no words for."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import typing as t

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_KEY = "lab.transport"
_POLL = 0.005
_DELIVERED_WITHIN = 5.0


class WithTransport(H11Protocol):
    """uvicorn's protocol; every request of a connection finds its transport in the ASGI state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, _KEY: transport}


def transport_of(scope: Scope) -> asyncio.Transport:
    """Return the connection that a request came in on."""
    try:
        return t.cast(asyncio.Transport, scope["state"][_KEY])
    except KeyError:
        raise RuntimeError("the server was started without lab.origin.transport") from None


def close(scope: Scope) -> None:
    """End the connection in order, after what was sent already."""
    transport_of(scope).close()


async def reset(scope: Scope) -> None:
    """End the connection with a TCP reset, once the peer has what was sent already."""
    transport = transport_of(scope)
    connection = transport.get_extra_info("socket")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _DELIVERED_WITHIN
    while _undelivered(transport, connection) and loop.time() < deadline:
        await asyncio.sleep(_POLL)
    if not transport.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _undelivered(transport: asyncio.Transport, connection: socket.socket) -> int:
    """The bytes that the peer's kernel has not acknowledged yet."""
    if transport.is_closing():
        return 0
    queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return transport.get_write_buffer_size() + int.from_bytes(queued, "little")

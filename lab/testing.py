# SPDX-License-Identifier: GPL-3.0-or-later
"""Run an ASGI application on a real loopback socket for the length of a `with` block."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t

import uvicorn

from lab.origin.transport import WithTransport


@contextlib.contextmanager
def serve(app: t.Any, *, host: str = "127.0.0.1") -> t.Iterator[str]:
    """Yield the base URL of `app`, served by uvicorn in a thread; stop it gracefully afterwards."""
    listener = socket.create_server((host, 0))
    config = uvicorn.Config(
        app,
        http=WithTransport,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="lab-serve", daemon=True
    )
    thread.start()
    try:
        # The socket already listens, so a request made before start-up is done waits in its queue.
        yield f"http://{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()
        if thread.is_alive():
            raise RuntimeError("the server thread did not stop")

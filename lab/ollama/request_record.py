# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers really sent: request bodies as JSON lines, for tests that ask about bytes.

Nothing like it exists in Ollama; it is on only when OLLAMA_STANDIN_RECORD names a file.
"""

from __future__ import annotations

import json
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Blobs are no text, and bigger than anybody wants to read.
LONGEST = 1_000_000


class RequestRecord:
    """Wraps the API and appends each request with a body to a file."""

    def __init__(self, app: ASGIApp, path: Path) -> None:
        self.app = app
        self.path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        body = bytearray()

        async def listen() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(body) < LONGEST:
                body.extend(message.get("body", b""))
            return message

        try:
            await self.app(scope, listen, send)
        finally:
            self._append(scope, bytes(body[:LONGEST]))

    def _append(self, scope: Scope, body: bytes) -> None:
        line = {
            "method": scope["method"],
            "path": scope["path"],
            "body": body.decode("utf-8", "replace"),
            "hex": body.hex() if len(body) < LONGEST else None,
        }
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")

# SPDX-License-Identifier: GPL-3.0-or-later
"""The request record: one JSON line per request, with the body bytes that really went out.

Several processes append to one file. A line's number `n` is its offset in the file, so it is
unique, ascending, and `since` needs no index.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import typing as t
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTROL_PREFIX = "/_lab/"
SERVICES = (
    ("/v2/", "ollama-registry"),
    ("/ollama/", "ollama-registry"),
    ("/files/", "files"),
    ("/apt/", "apt"),
    ("/hf/", "huggingface"),
    ("/hf-cdn/", "huggingface"),
)
#: Where the parts of the program that handle a request find its entry, to add to it.
ENTRY = "lab.record"


def service_of(path: str) -> str:
    """Return the name of the service that a path belongs to."""
    return next((name for prefix, name in SERVICES if path.startswith(prefix)), "unknown")


class Recorder:
    """Appends to and reads from the record file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: dict[str, t.Any]) -> int:
        """Write one line and return its number."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            number = os.lseek(descriptor, 0, os.SEEK_END)
            line = json.dumps({"n": number, **entry}, ensure_ascii=False) + "\n"
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
        return number

    def mark(self) -> int:
        """Return the number that the next line will get."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def since(self, number: int) -> bytes:
        """Return the lines from `number` on, whole lines only."""
        try:
            with self.path.open("rb") as file:
                file.seek(number)
                data = file.read()
        except FileNotFoundError:
            return b""
        return data[: data.rfind(b"\n") + 1]


class RecordRequests:
    """ASGI middleware that records every request but the lab's own control requests."""

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self.app = app
        self.recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self.app(scope, receive, send)
            return
        entry = _describe(scope)
        scope[ENTRY] = entry

        async def counting_receive() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                scope["lab.disconnected"] = True
            return message

        async def counting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)
            # After a disconnect the server drops what it is given, so it must not be counted.
            gone = scope.get("lab.disconnected", False)
            if message["type"] == "http.response.body" and scope["method"] != "HEAD" and not gone:
                entry["bytes"] += len(message.get("body", b""))

        try:
            await self.app(scope, counting_receive, counting_send)
        finally:
            self.recorder.append(entry)


def _describe(scope: Scope) -> dict[str, t.Any]:
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    query = scope["query_string"].decode("latin-1")
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "service": service_of(scope["path"]),
        "host": headers.get("host", ""),
        "client": scope["client"][0] if scope.get("client") else "",
        "method": scope["method"],
        "path": scope["path"],
        "query": query,
        "range": headers.get("range"),
        "if_range": headers.get("if-range"),
        "status": 0,
        "bytes": 0,
        "user_agent": headers.get("user-agent", ""),
        # Only whether there was one: what it says is a secret.
        "authorization": "authorization" in headers,
        "fault": None,
    }

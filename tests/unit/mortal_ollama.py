# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in as a program that ends itself without a word in the middle, if asked to."""

from __future__ import annotations

import os
import signal
import sys

import uvicorn

from lab.ollama import download
from lab.ollama.app import create_app
from lab.ollama.engine import EchoEngine
from lab.ollama.settings import from_environment


class Mortal:
    """An application that dies by its own hand before it sends these words, or in an upload."""

    def __init__(self, app, words: str) -> None:
        self.app = app
        self.words = words.encode()

    async def __call__(self, scope, receive, send):
        upload = scope["path"].startswith("/api/blobs/") if scope["type"] == "http" else False

        async def receiving():
            message = await receive()
            if upload and self.words == b"upload" and message.get("body"):
                os.kill(os.getpid(), signal.SIGKILL)
            return message

        async def sending(message):
            if self.words and self.words in message.get("body", b""):
                os.kill(os.getpid(), signal.SIGKILL)
            await send(message)

        await self.app(scope, receiving, sending)


def main(size_of_parts: str, dies_before: str) -> None:
    settings = from_environment()
    download.MIN_PART = int(size_of_parts)
    app = create_app(settings.models, EchoEngine(), settings=settings, retry_backoff=0.0)
    mortal = Mortal(app, dies_before)
    uvicorn.run(mortal, host=settings.host, port=settings.port, log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])

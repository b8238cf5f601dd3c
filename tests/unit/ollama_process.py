# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in as a process of its own, which can be killed and started again."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from lab.ollama.engine import EchoEngine
from tests.unit.conftest import Ollama

# As small as that, small models have several parts.
PART = 20_000


class OllamaProcess(Ollama):
    """A server that is killed without a word and started again over the same store."""

    def __init__(self, root: Path, store: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        super().__init__(f"http://127.0.0.1:{self._port}", store, EchoEngine())
        self._root = root
        self._process: subprocess.Popen | None = None

    def start(self, *, dies_before: str = "") -> None:
        """Start it, and wait until it answers."""
        given = {
            "OLLAMA_HOST": self.url,
            "OLLAMA_MODELS": str(self.store),
            "OLLAMA_NOPRUNE": "1",
            "PYTHONPATH": str(self._root),
        }
        program = self._root / "tests" / "unit" / "mortal_ollama.py"
        command = [sys.executable, str(program), str(PART), dies_before]
        self._process = subprocess.Popen(command, env={**os.environ, **given})
        deadline = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{self.url}/api/version", trust_env=False)
                return
            time.sleep(0.05)
        raise RuntimeError("the server did not start")

    def kill(self) -> None:
        """End it without a word."""
        if self._process:
            self._process.kill()
            self._process.wait()

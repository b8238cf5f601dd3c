# SPDX-License-Identifier: GPL-3.0-or-later
"""A container engine that answers from a table, on a unix socket as the real one."""

from __future__ import annotations

import contextlib
import http.server
import json
import socketserver
import tempfile
import threading
from pathlib import Path


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.answers: dict[str, object] = {"/_ping": "OK", "/version": {"Version": "29.7.2"}}
        self.asked: list[str] = []
        super().__init__(path, _Handler)

    def contain(self, *containers: dict) -> None:
        """These containers, listed with and without the stopped ones."""
        running = [entry for entry in containers if entry["State"] == "running"]
        self.answers["/containers/json?all=1"] = list(containers)
        self.answers["/containers/json?all=0"] = running


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        answer = self.server.answers.get(self.path)
        body = answer if isinstance(answer, str) else json.dumps(answer)
        kind = "text/plain" if isinstance(answer, str) else "application/json"
        self.send_response(404 if answer is None else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: object) -> None:
        pass


def container(name: str, *, state: str = "running", port: int | None = None, **more) -> dict:
    """An entry of the engine's list."""
    published = {"IP": "127.0.0.1", "PrivatePort": 11434, "PublicPort": port, "Type": "tcp"}
    return {
        "Id": name.encode().hex().ljust(64, "0")[:64],
        "Names": [f"/{name}"],
        "Image": f"{name}:1",
        "State": state,
        "Status": "Up 2 hours" if state == "running" else "Exited (1) 2 hours ago",
        "Labels": {"com.docker.compose.project": name},
        "Ports": [published] if port else [],
        **more,
    }


@contextlib.contextmanager
def short_directory():
    """A directory whose path leaves room for a socket's name (107 bytes in all)."""
    with tempfile.TemporaryDirectory(prefix="e-") as directory:
        yield Path(directory)


@contextlib.contextmanager
def serving(path: Path):
    """A running engine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FakeEngine(str(path)) as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        engine.contain()
        engine.answers["/networks"] = [{"Name": "edge"}, {"Name": "bridge"}]
        try:
            yield engine
        finally:
            engine.shutdown()
            thread.join()

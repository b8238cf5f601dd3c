# SPDX-License-Identifier: GPL-3.0-or-later
"""A container engine on a unix socket as the real one: it answers from a table and by its rules."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import json
import re
import socketserver
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

GPU_LIST = "GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-a)\n"


@dataclass
class Refusal:
    """An answer with an error status, in the engine's form."""

    status: int
    message: str


@dataclass
class Program:
    """How the program of a container, or a command in it, does."""

    output: str = GPU_LIST
    exit_code: int = 0
    # What the engine says instead of creating or starting it.
    create: Refusal | None = None
    start: Refusal | None = None
    hangs: bool = False


@dataclass
class Asked:
    """One request that changes something, or may."""

    method: str
    path: str
    body: object = None

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str) -> None:
        self.answers: dict[str, object] = {
            "/_ping": "OK",
            "/version": {"Version": "29.7.2"},
            "/info": {"CDISpecDirs": ["/etc/cdi", "/var/run/cdi"], "Runtimes": {"runc": {}}},
        }
        self.asked: list[str] = []
        self.sent: list[Asked] = []
        # By image, what a new container of it does; by container, what a command in it does.
        self.images: dict[str, Program] = {}
        self.commands: dict[str, Program] = {}
        self.made: dict[str, Program] = {}
        self.executed: dict[str, Program] = {}
        self.left_over: list[dict] = []
        self.quiet = threading.Event()
        self._numbers = itertools.count(1)
        super().__init__(path, _Handler)

    def contain(self, *containers: dict) -> None:
        """These containers, listed with and without the stopped ones."""
        running = [entry for entry in containers if entry["State"] == "running"]
        self.answers["/containers/json?all=1"] = list(containers)
        self.answers["/containers/json?all=0"] = running

    def handle(self, asked: Asked) -> object:
        """The answer to a request that is not in the table."""
        for pattern, rule in _RULES:
            match = re.fullmatch(pattern, asked.line)
            if match:
                return rule(self, asked, *match.groups())
        return Refusal(404, "page not found")

    def list_labelled(self, _asked: Asked) -> object:
        return self.left_over

    def create(self, asked: Asked) -> object:
        program = self.images.get(asked.body["Image"])
        if program is None:
            return Refusal(404, f"No such image: {asked.body['Image']}")
        if program.create:
            return program.create
        ident = f"trial{next(self._numbers)}"
        self.made[ident] = program
        return {"Id": ident, "Warnings": []}

    def start(self, _asked: Asked, ident: str) -> object:
        return self.made[ident].start

    def wait(self, _asked: Asked, ident: str) -> object:
        if self.made[ident].hangs:
            self.quiet.wait(20)
        return {"StatusCode": self.made[ident].exit_code}

    def logs(self, _asked: Asked, ident: str) -> object:
        return self.made[ident].output.replace("\n", "\r\n")

    def remove(self, _asked: Asked, ident: str) -> object:
        self.made.pop(ident, None)
        self.left_over = [entry for entry in self.left_over if entry["Id"] != ident]

    def prepare(self, _asked: Asked, container: str) -> object:
        if container not in self.commands:
            return Refusal(409, f"container {container} is not running")
        ident = f"exec{next(self._numbers)}"
        self.executed[ident] = self.commands[container]
        return {"Id": ident}

    def execute(self, _asked: Asked, ident: str) -> object:
        program = self.executed[ident]
        if program.hangs:
            self.quiet.wait(20)
        return program.start or program.output.replace("\n", "\r\n")

    def told(self, _asked: Asked, ident: str) -> object:
        return {"Running": False, "ExitCode": self.executed[ident].exit_code}


_RULES = (
    (r"GET /containers/json\?all=1&filters=.*", FakeEngine.list_labelled),
    (r"POST /containers/create\?name=[a-z0-9-]+", FakeEngine.create),
    (r"POST /containers/(\w+)/start", FakeEngine.start),
    (r"POST /containers/(\w+)/wait", FakeEngine.wait),
    (r"GET /containers/(\w+)/logs\?stdout=1&stderr=1", FakeEngine.logs),
    (r"DELETE /containers/(\w+)\?force=1&v=1", FakeEngine.remove),
    (r"POST /containers/(\w+)/exec", FakeEngine.prepare),
    (r"POST /exec/(\w+)/start", FakeEngine.execute),
    (r"GET /exec/(\w+)/json", FakeEngine.told),
)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer(json.loads(self.rfile.read(length)) if length else None)

    def do_DELETE(self) -> None:
        self._answer(None)

    def _answer(self, body: object) -> None:
        asked = Asked(self.command, self.path, body)
        self.server.asked.append(asked.line)
        if self.command != "GET":
            self.server.sent.append(asked)
        in_table = self.command == "GET" and self.path in self.server.answers
        answer = self.server.answers[self.path] if in_table else self.server.handle(asked)
        with contextlib.suppress(BrokenPipeError):
            self._send(answer)

    def _send(self, answer: object) -> None:
        status = answer.status if isinstance(answer, Refusal) else 204 if answer is None else 200
        said = {"message": answer.message} if isinstance(answer, Refusal) else answer
        text = said if isinstance(said, str) else json.dumps(said)
        kind = "text/plain" if isinstance(said, str) else "application/json"
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        if status != 204:
            self.wfile.write(text.encode())

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


def left_over(ident: str, *, age: float) -> dict:
    """A labelled container that was made so many seconds ago."""
    return {"Id": ident, "Created": int(time.time() - age)}


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
            engine.quiet.set()
            engine.shutdown()
            thread.join()

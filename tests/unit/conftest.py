# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run in-process against real servers on loopback, and every request is seen."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import importlib
import json
import socket
import tempfile
import threading
from pathlib import Path
from unittest import mock

import gguf
import httpx
import numpy as np
import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

from lab.ollama.app import create_app as create_ollama
from lab.ollama.engine import EchoEngine
from lab.ollama.settings import Settings
from lab.origin.app import create_app as create_origin
from lab.testing import serve


@dataclasses.dataclass(frozen=True)
class Seen:
    """One request that a server received."""

    server: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytearray

    @property
    def json(self):
        return json.loads(bytes(self.body))

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def mutates(self) -> bool:
        # Showing a model is a read that Ollama serves by POST.
        return self.method not in ("GET", "HEAD") and self.line != "POST /api/show"


class Traffic:
    """Every request of the test, to whatever server, in order."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.guilty: list[str] = []
        self.check_mode = False

    def watch(self, app, server: str):
        """The same ASGI application, watched."""

        async def watched(scope, receive, send):
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            seen = Seen(server, scope["method"], scope["path"], headers, bytearray())
            self.requests.append(seen)
            if self.check_mode and seen.mutates:
                self.guilty.append(seen.line)

            more = True
            while more:
                message = await receive()
                seen.body.extend(message.get("body", b""))
                more = message.get("more_body", False)
            whole = [{"type": "http.request", "body": bytes(seen.body), "more_body": False}]
            await app(scope, lambda: _next(whole, receive), send)

        return watched

    def lines(self, server: str = "") -> list[str]:
        return [seen.line for seen in self.requests if server in ("", seen.server)]

    def clear(self) -> None:
        self.requests.clear()


async def _next(first, then):
    return first.pop() if first else await then()


@pytest.fixture
def traffic():
    return Traffic()


@pytest.fixture(autouse=True)
def check_mode_sends_nothing_that_mutates(traffic):
    """The guard: whatever a test looks at, a module that acts in check mode fails it."""
    yield
    if traffic.guilty:
        pytest.fail(f"sent in check mode: {', '.join(traffic.guilty)}", pytrace=False)


class Door:
    """A server that stays while the applications behind it change: starting one takes long."""

    def __init__(self) -> None:
        self.url = ""
        self._app = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})

    @contextlib.contextmanager
    def opened(self, app, watched):
        self._app = watched
        self._ready.wait()
        lifespan = app.router.lifespan_context(app)
        self._run(lifespan.__aenter__())
        try:
            yield self.url
        finally:
            self._run(lifespan.__aexit__(None, None, None))

    def _run(self, step) -> None:
        asyncio.run_coroutine_threadsafe(step, self._loop).result()


@pytest.fixture(scope="session")
def doors():
    """Servers to take from and give back to."""
    with contextlib.ExitStack() as stack:
        free = [Door() for _ in range(3)]
        for door in free:
            door.url = stack.enter_context(serve(door))
        yield free


@pytest.fixture
def served(traffic, doors):
    """Serve ASGI applications on loopback for the test, watched; the answer is the base URL."""
    taken = []
    with contextlib.ExitStack() as stack:

        def start(app, server: str = "server") -> str:
            door = doors.pop()
            taken.append(door)
            return stack.enter_context(door.opened(app, traffic.watch(app, server)))

        yield start
    doors.extend(taken)


@pytest.fixture
def nobody():
    """The URL of a port where nobody listens."""
    with socket.socket() as taken:
        # Bound but not listening: nobody else can take it, and connections are refused.
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def run_module(traffic, capsys, tmp_path):
    """Run a module as Ansible would, in this process; the answer is its result.

    With fails=None it may fail or not.
    """

    def run(module, /, *, check_mode: bool = False, fails: bool | None = False, **params):
        if isinstance(module, str):
            package = "ansible_collections.edgellm.host.plugins.modules"
            module = importlib.import_module(f"{package}.{module}")
        args = {
            **params,
            "_ansible_check_mode": check_mode,
            "_ansible_diff": True,
            "_ansible_remote_tmp": str(tmp_path),
        }
        capsys.readouterr()
        traffic.check_mode = check_mode
        # Other tests of this process have loaded the controller, which shows warnings itself.
        on_a_host = mock.patch.object(_internal, "is_controller", new=False)
        warnings._global_warnings.clear()
        try:
            with patch_module_args(args), on_a_host, pytest.raises(SystemExit):
                module.main()
        finally:
            traffic.check_mode = False
        result = json.loads(capsys.readouterr().out)
        assert fails is None or bool(result.get("failed")) is fails, result
        return result

    return run


@dataclasses.dataclass
class Registry:
    """A model registry that is reached as a mirror, and the store behind it."""

    root: Path
    url: str = ""

    def offer(
        self, name: str, *, weights: str = "weights", embeds: bool = False, padding: int = 0
    ) -> str:
        """Offer a model of the namespace library, replacing what had the name; gives the digest."""
        model, _colon, tag = name.partition(":")
        kind = "application/vnd.ollama.image."
        layers = [
            self._blob(small_gguf(weights, embeds=embeds) + bytes(padding), kind + "model"),
            self._blob(b"{{ .Prompt }}", kind + "template"),
            self._blob(b'{"stop":["<|im_end|>"]}\n', kind + "params"),
        ]
        config = {
            "model_format": "gguf",
            "model_family": "llama",
            "model_families": ["llama"],
            "model_type": "1.2K",
            "file_type": "F32",
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": self._blob(
                json.dumps(config).encode(), "application/vnd.docker.container.image.v1+json"
            ),
            "layers": layers,
        }
        raw = json.dumps(manifest).encode()
        path = self.root / "manifests" / "library" / model / (tag or "latest")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return hashlib.sha256(raw).hexdigest()

    def layers(self, name: str) -> dict[str, int]:
        """The blobs of a model and their sizes."""
        model, _colon, tag = name.partition(":")
        path = self.root / "manifests" / "library" / model / (tag or "latest")
        manifest = json.loads(path.read_bytes())
        return {blob["digest"]: blob["size"] for blob in [*manifest["layers"], manifest["config"]]}

    def blob(self, digest: str) -> Path:
        return self.root / "blobs" / digest.replace(":", "-")

    def _blob(self, content: bytes, media_type: str) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blob(digest).parent.mkdir(parents=True, exist_ok=True)
        self.blob(digest).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def small_gguf(label: str, *, embeds: bool = False, chats: bool = True, parts: int = 1) -> bytes:
    """A valid GGUF file without any use; another label makes another file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_name(label)
        writer.add_context_length(2048)
        writer.add_embedding_length(64)
        writer.add_block_count(1)
        if parts > 1:
            writer.add_uint16("split.count", parts)
        if chats:
            writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
        if embeds:
            writer.add_pooling_type(gguf.PoolingType.MEAN)
        writer.add_tensor("token_embd.weight", np.zeros((16, 64), dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


@pytest.fixture
def registry(served, tmp_path):
    """An empty model registry."""
    root = tmp_path / "origin"
    (root / "registry").mkdir(parents=True)
    return Registry(root / "registry", served(create_origin(root), "registry"))


@dataclasses.dataclass
class Ollama:
    """An Ollama server (the lab's stand-in) with an empty store."""

    url: str
    store: Path
    engine: EchoEngine

    def tags(self) -> dict[str, str]:
        """The installed models and their digests, as everybody can see them."""
        models = httpx.get(f"{self.url}/api/tags", trust_env=False).json()["models"]
        return {model["name"]: model["digest"] for model in models}

    def pull(self, name: str, registry: Registry, *, known_as: str | None = None) -> None:
        """Have the model installed, by nobody's module."""
        mirror = registry.url.removeprefix("http://")
        vehicle = f"{mirror}/library/{name}"
        self._post("pull", {"model": vehicle, "insecure": True, "stream": False})
        self._post("copy", {"source": vehicle, "destination": known_as or name})
        self.delete(vehicle)

    def copy(self, source: str, destination: str) -> None:
        self._post("copy", {"source": source, "destination": destination})

    def delete(self, name: str) -> None:
        body = json.dumps({"model": name})
        httpx.request(
            "DELETE", f"{self.url}/api/delete", content=body, trust_env=False
        ).raise_for_status()

    def _post(self, verb: str, body: dict[str, object]) -> None:
        answer = httpx.post(f"{self.url}/api/{verb}", json=body, trust_env=False)
        assert answer.is_success, answer.text


@pytest.fixture
def ollama(served, tmp_path):
    """An Ollama server without models."""
    engine, store = EchoEngine(), tmp_path / "models"
    app = create_ollama(store, engine, settings=Settings(noprune=True), retry_backoff=0.0)
    return Ollama(served(app, "ollama"), store, engine)

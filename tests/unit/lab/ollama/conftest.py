# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in with its echo engine beside a seeded origin, both on real sockets."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import gguf
import httpx
import numpy
import pytest

from lab.ollama.app import create_app
from lab.ollama.engine import EchoEngine
from lab.ollama.settings import Settings
from lab.origin.app import create_app as create_origin
from lab.origin.seed import seed
from lab.testing import serve


@dataclasses.dataclass(frozen=True)
class Origin:
    """A registry on loopback."""

    root: Path
    url: str

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def requests(self) -> list[dict[str, t.Any]]:
        text = httpx.get(f"{self.url}/_lab/record", trust_env=False).text
        return [json.loads(line) for line in text.splitlines()]


@dataclasses.dataclass(frozen=True)
class Ollama:
    """A running stand-in, and what lies behind it."""

    http: httpx.Client
    store: Path
    engine: EchoEngine
    origin: Origin

    @property
    def remote(self) -> str:
        return f"{self.origin.host}/library/smollm2:135m"

    def post(self, path: str, **body: t.Any) -> httpx.Response:
        return self.http.post(f"/api/{path}", json=body)

    def events(self, path: str, **body: t.Any) -> list[dict[str, t.Any]]:
        return [json.loads(line) for line in self.post(path, **body).text.splitlines()]

    def tags(self) -> dict[str, dict[str, t.Any]]:
        return {model["name"]: model for model in self.http.get("/api/tags").json()["models"]}

    def install(self, name: str = "smollm2:135m", seeded: str = "smollm2") -> str:
        """Pull a seeded model and leave it under a short name; returns the digest."""
        remote = f"{self.origin.host}/library/{seeded}:135m"
        assert self.events("pull", model=remote, insecure=True)[-1] == {"status": "success"}
        assert self.post("copy", source=remote, destination=name).status_code == 200
        assert self.http.request("DELETE", "/api/delete", json={"model": remote}).is_success
        return str(self.tags()[name if ":" in name else f"{name}:latest"]["digest"])

    def blobs(self) -> set[str]:
        return {path.name for path in (self.store / "blobs").iterdir()}


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_block_count(2)
    writer.add_head_count(2)
    writer.add_file_type(3)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(["a", "b", "日本"])
    writer.add_tensor("token_embd.weight", numpy.arange(64, dtype=numpy.float32).reshape(8, 8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def origin(tmp_path: Path, tiny_gguf: Path) -> t.Iterator[Origin]:
    root = tmp_path / "origin"
    seed(root, tiny_gguf)
    with serve(create_origin(root, cdn_host="localhost")) as url:
        yield Origin(root, url)


@pytest.fixture
def settings() -> Settings:
    """Override this to change what the environment says."""
    return Settings()


@pytest.fixture
def ollama(tmp_path: Path, origin: Origin, settings: Settings) -> t.Iterator[Ollama]:
    store, engine = tmp_path / "store", EchoEngine()
    app = create_app(store, engine, settings=settings, retry_backoff=0.01)
    with serve(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield Ollama(client, store, engine, origin)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[httpx.Client]:
    """A client of a stand-in without models, shared by tests that only get refusals."""
    app = create_app(tmp_path_factory.mktemp("empty"), EchoEngine())
    with serve(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client

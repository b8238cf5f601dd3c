# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server does when it starts: rename, prune, forget nothing. It gets a store of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import typing as t
from pathlib import Path

import httpx
import pytest

from lab.ollama.app import create_app
from lab.ollama.engine import EchoEngine
from lab.ollama.settings import Settings
from lab.testing import serve
from tests.contract import weights
from tests.contract.server import Server, digest_of
from tests.contract.target import TARGET
from tests.contract.waiting import until
from tests.contract.weights import TEMPLATE

OLD = 2 * 3600


@contextlib.contextmanager
def started(store: Path, *, noprune: bool = False) -> t.Iterator[Server]:
    """A server over the store, from start to stop."""
    with contextlib.ExitStack() as stack:
        if TARGET.program is None:
            app = create_app(store, EchoEngine(), settings=Settings(noprune=noprune))
            url = stack.enter_context(serve(app))
        else:
            url = stack.enter_context(process(TARGET.program, store, noprune=noprune))
        http = stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=60))
        until(lambda: answers(http))
        yield Server(http, store)


@contextlib.contextmanager
def process(program: Path, store: Path, *, noprune: bool) -> t.Iterator[str]:
    """The program serving on a free port of loopback; the answer is its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(store.parent),
        "OLLAMA_HOST": address,
        "OLLAMA_MODELS": str(store),
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_NOPRUNE": "1" if noprune else "0",
    }
    with (store.parent / "log").open("ab") as log:
        running = subprocess.Popen([program, "serve"], env=environment, stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        running.terminate()
        running.wait(timeout=30)


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one model, and blobs that nothing names."""
    path = tmp_path / "models"
    with started(path) as server:
        server.create("kept", files={"x.gguf": server.upload(weights.model("kept"))},
                      template=TEMPLATE)  # fmt: skip
        blob(path, server.upload(b"new"))
        age(blob(path, server.upload(b"old")))
    return path


def blob(store: Path, digest: str) -> Path:
    return store / "blobs" / digest.replace(":", "-")


def age(path: Path) -> Path:
    then = time.time() - OLD
    os.utime(path, (then, then))
    return path


def has(server: Server, content: bytes) -> bool:
    return server.http.head(f"/api/blobs/{digest_of(content)}").is_success


def test_blobs_that_nothing_names_go_once_they_are_old(store: Path) -> None:
    with started(store) as server:
        assert not has(server, b"old")
        spared = TARGET.since({"0.9": False, "0.21": True})
        assert has(server, b"new") is spared
        assert server.show("kept")["capabilities"] == ["completion"]


def test_with_noprune_everything_stays(store: Path) -> None:
    with started(store, noprune=True) as server:
        assert has(server, b"old")
        assert has(server, b"new")


def test_what_a_manifest_names_stays_however_old_it_is(store: Path) -> None:
    for path in (store / "blobs").iterdir():
        age(path)
    with started(store) as server:
        assert server.show("kept")["capabilities"] == ["completion"]
        assert not has(server, b"new")


def test_partial_downloads_go_too(store: Path) -> None:
    old = store / "blobs" / (digest_of(b"partial").replace(":", "-") + "-partial")
    old.write_bytes(b"par")
    age(old)
    with started(store, noprune=True):
        assert old.exists()
    with started(store):
        assert not old.exists()


def test_a_broken_manifest_keeps_everything(store: Path) -> None:
    broken = store / "manifests/registry.ollama.ai/library/broken/latest"
    broken.parent.mkdir()
    broken.write_bytes(b"not JSON")
    with started(store) as server:
        assert has(server, b"old")
        assert list(server.tags()) == ["kept:latest"]


def test_old_names_of_blobs_are_changed(store: Path) -> None:
    for path in (store / "blobs").iterdir():
        path.rename(path.with_name(path.name.replace("-", ":", 1)))
    with started(store, noprune=True) as server:
        assert has(server, b"old")
        assert server.show("kept")["capabilities"] == ["completion"]


def test_a_digest_survives(store: Path) -> None:
    with started(store) as server:
        before = server.tags()
    with started(store) as server:
        assert server.tags() == before


@pytest.mark.parametrize("noprune", [False, True])
def test_a_re_create_prunes_what_only_the_old_model_had(store: Path, noprune: bool) -> None:
    with started(store, noprune=noprune) as server:
        for text in ("first", "second"):
            server.create("made", **{"from": "kept"}, system=text)
        assert has(server, b"first") is noprune
        assert has(server, b"second")


@pytest.mark.parametrize("noprune", [False, True])
def test_delete_prunes_in_any_case(store: Path, noprune: bool) -> None:
    with started(store, noprune=noprune) as server:
        server.create("made", **{"from": "kept"}, system="mine")
        assert server.delete("made").is_success
        assert not has(server, b"mine")

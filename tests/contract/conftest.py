# SPDX-License-Identifier: GPL-3.0-or-later
"""What we rely on in Ollama, run against the stand-in or against the server of `OLLAMA_URL`."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import socket
import typing as t

import httpx
import pytest

from lab.ollama.app import create_app
from lab.ollama.engine import LlamaEngine
from lab.ollama.settings import Settings
from lab.origin.app import create_app as create_origin
from lab.testing import serve
from tests.contract import weights
from tests.contract.server import Registry, Server
from tests.contract.target import TARGET
from tests.contract.weights import TEMPLATE

# A server whose directory is not told cannot be looked at from inside, nor restarted without its
# program: docs/compatibility.md says how to have these two run as well.
collect_ignore = [
    *([] if TARGET.shows_its_store else ["test_store.py"]),
    *([] if TARGET.can_be_started else ["test_start.py"]),
]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Server]:
    """The server under test; what the suite installs on it is removed at the end."""
    with contextlib.ExitStack() as stack:
        url, store = TARGET.url, TARGET.store
        if TARGET.is_standin:
            store = tmp_path_factory.mktemp("store")
            app = create_app(
                store, LlamaEngine(), settings=Settings(noprune=True), retry_backoff=0.01
            )
            url = stack.enter_context(serve(app))
        http = httpx.Client(base_url=url, trust_env=False, timeout=60)
        yield Server(stack.enter_context(http), store)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Registry]:
    """A registry whose blobs lie on another host name, as those of the public one do."""
    root = tmp_path_factory.mktemp("origin")
    with (
        serve(create_origin(root, cdn_host="localhost")) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=30) as http,
    ):
        yield Registry(root, url, http)


@pytest.fixture
def obedient(registry: Registry) -> t.Iterator[Registry]:
    """The registry, which forgets after the test what misbehaviour was ordered."""
    yield registry
    registry.behave()


@pytest.fixture
def nobody() -> t.Iterator[str]:
    """Host and port where nobody listens."""
    with socket.socket() as taken:
        # Bound but not listening: nobody else can take it, and connections are refused.
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="session")
def run(server: Server) -> t.Iterator[str]:
    """A word that the names of this run begin with."""
    word = f"contract-{secrets.token_hex(3)}"
    yield word
    loaded = server.running()
    for name in server.tags():
        if word in name.lower():
            if name in loaded:
                server.post("generate", model=name, keep_alive=0)
            server.delete(name)


@pytest.fixture(scope="session")
def names(run: str) -> t.Iterator[str]:
    """Model names that nobody has used."""
    return (f"{run}-{number}" for number in itertools.count())


@pytest.fixture
def name(names: t.Iterator[str]) -> str:
    """A model name that nobody has used."""
    return next(names)


@pytest.fixture(scope="session")
def gguf(server: Server, run: str) -> str:
    """The digest of an uploaded GGUF file that can chat; it has no chat template of its own."""
    return server.upload(weights.model(run))


@pytest.fixture(scope="session")
def base(server: Server, names: t.Iterator[str], gguf: str) -> str:
    """A model with everything a model can have."""
    name = next(names)
    server.create(
        name,
        files={"x.gguf": gguf},
        template=TEMPLATE,
        system="Be short.",
        license=["One licence.", "Another."],
        parameters={"temperature": 0.5, "num_ctx": 128, "stop": ["A<", "B"]},
        messages=[{"role": "user", "content": "Hi & bye"}, {"role": "assistant", "content": "𠮷"}],
    )
    return name


@pytest.fixture(scope="session")
def embedder(server: Server, names: t.Iterator[str], run: str) -> str:
    """A model that can only embed."""
    name = next(names)
    content = weights.model(f"{run} embeds", embeds=True)
    server.create(name, files={"x.gguf": server.upload(content)})
    return name


@pytest.fixture(scope="session")
def layers(run: str) -> dict[str, bytes]:
    """The layers of a small model for the registry."""
    return {
        "model": weights.model(f"{run} from the registry"),
        "template": TEMPLATE.encode(),
        "license": b"Free.",
        "params": b'{"stop":["<|im_end|>"]}',
    }

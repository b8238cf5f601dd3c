# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import random

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    engine,
    patience,
    record,
    source,
)

from tests.unit.file_server import FileServer

SIZE = 3_000_000


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Retries come at once."""
    monkeypatch.setattr(patience, "BASE_SECONDS", 0.0)


@pytest.fixture(scope="session")
def content():
    return b"GGUF" + random.Random(1).randbytes(SIZE - 4)


@pytest.fixture
def serving():
    """Servers that run until the end of the test."""
    with contextlib.ExitStack() as stack:

        def start(content: bytes, *, host: str = "127.0.0.1", **how) -> FileServer:
            return stack.enter_context(FileServer(content, **how).running(host))

        yield start


@pytest.fixture
def server(serving, content):
    return serving(content)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def dest(folder):
    return folder / "x.gguf"


@pytest.fixture
def hub(server):
    """The file as one of a repository."""
    return lambda **how: source.HubFile("n/r", "x.gguf", **{"endpoint": server.endpoint, **how})


@pytest.fixture
def plain(server):
    """The file as one that has only an address."""
    return lambda: source.PlainUrl(server.plain)


@pytest.fixture
def fetch(dest):
    """Have the file there; the answer is the outcome."""

    def fetch(where, *, dest=dest, sha256=None, size=None, magic=b"GGUF", **how):
        wanted = engine.Wanted(
            where, dest, record.place(dest), sha256=sha256, size=size, magic=magic
        )
        return engine.ensure(wanted, engine.Manner(**{"timeout": 5, **how}))

    return fetch

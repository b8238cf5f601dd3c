# SPDX-License-Identifier: GPL-3.0-or-later
"""A seeded origin on a real socket, with weights of a few hundred bytes."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import gguf
import httpx
import numpy
import pytest

from lab.origin.app import create_app
from lab.origin.seed import seed
from lab.testing import serve


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_context_length(2048)
    writer.add_embedding_length(8)
    writer.add_file_type(3)
    writer.add_tensor("token_embd.weight", numpy.arange(64, dtype=numpy.float32).reshape(8, 8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def root(tmp_path: Path, tiny_gguf: Path) -> Path:
    root = tmp_path / "root"
    seed(root, tiny_gguf)
    (root / "files").mkdir()
    (root / "apt").mkdir()
    return root


@pytest.fixture
def origin(root: Path) -> t.Iterator[httpx.Client]:
    """A client of an origin whose blobs lie under the host name `localhost`."""
    with (
        serve(create_app(root, cdn_host="localhost")) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def manifest(root: Path) -> dict[str, t.Any]:
    path = root / "registry/manifests/library/smollm2/135m"
    return t.cast("dict[str, t.Any]", json.loads(path.read_bytes()))

# SPDX-License-Identifier: GPL-3.0-or-later
"""The store on disk, as far as an import by links and a prune of our own rest on it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import typing as t
from pathlib import Path

import pytest

from tests.contract import weights
from tests.contract.server import CONFIG, KIND, MANIFEST, JsonObject, Registry, Server, digest_of
from tests.contract.target import TARGET
from tests.contract.weights import SAID, TEMPLATE


@pytest.fixture
def store(server: Server) -> Path:
    assert server.store is not None
    return server.store


def manifest_path(store: Path, model: str) -> Path:
    return store / "manifests" / "registry.ollama.ai" / "library" / model / "latest"


def blob_path(store: Path, digest: str) -> Path:
    return store / "blobs" / digest.replace(":", "-")


def entry(store: Path, kind: str, content: bytes) -> JsonObject:
    """Have a blob in the store, put there by hand."""
    digest = digest_of(content)
    blob_path(store, digest).write_bytes(content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def link_in(store: Path, source: Path, model: str, *, length: int = 0) -> str:
    """Import a GGUF file by a hard link and a manifest of one's own; gives the digest.

    The manifest gets the length that is asked for, not counting its line break.
    """
    content = source.read_bytes()
    digest = digest_of(content)
    os.link(source, blob_path(store, digest))
    config = {
        "model_format": "gguf",
        "model_family": "llama",
        "model_families": ["llama"],
        "model_type": "1M",
        "file_type": "F32",
        "architecture": "amd64",
        "os": "linux",
    }
    document: JsonObject = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": entry(store, CONFIG, json.dumps(config).encode()),
        "layers": [
            {"mediaType": f"{KIND}model", "digest": digest, "size": len(content)},
            entry(store, f"{KIND}template", TEMPLATE.encode()),
            entry(store, f"{KIND}params", b'{"stop":["<|im_end|>"]}\n'),
        ],
    }
    if length:
        document["padding"] = ""
        document["padding"] = "x" * (length - len(json.dumps(document)))
    raw = json.dumps(document).encode() + b"\n"
    path = manifest_path(store, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return hashlib.sha256(raw).hexdigest()


@pytest.fixture
def file(store: Path, name: str) -> t.Iterator[Path]:
    """A GGUF file beside the store, on the same file system."""
    path = store.parent / f"{name}.gguf"
    path.write_bytes(weights.model(name))
    yield path
    path.unlink()


def test_a_pulled_manifest_is_kept_as_it_was_sent(
    server: Server, store: Path, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    registry.offer(name, layers, indent=1)
    server.pull(registry.name(name))
    path = store / "manifests" / registry.host / "library" / name / "latest"
    assert path.read_bytes() == registry.manifest(name).read_bytes()


def test_a_made_manifest_is_one_line(server: Server, store: Path, base: str) -> None:
    raw = manifest_path(store, base).read_bytes()
    assert raw.count(b"\n") == 1
    assert raw.endswith(b"}\n")
    document = json.loads(raw)
    assert list(document) == ["schemaVersion", "mediaType", "config", "layers"]
    assert (document["mediaType"], document["config"]["mediaType"]) == (MANIFEST, CONFIG)
    kinds = [layer["mediaType"].removeprefix(KIND) for layer in document["layers"]]
    assert kinds == ["model", "template", "system", "license", "license", "params", "messages"]


def test_the_texts_of_a_model(server: Server, store: Path, base: str) -> None:
    document = json.loads(manifest_path(store, base).read_bytes())
    texts = {
        layer["mediaType"].removeprefix(KIND): blob_path(store, layer["digest"]).read_bytes()
        for layer in document["layers"][1:]
    }
    assert texts["system"] == b"Be short."
    assert texts["template"] == TEMPLATE.encode()
    assert texts["params"] == b'{"num_ctx":128,"stop":["A\\u003c","B"],"temperature":0.5}\n'
    assert json.loads(texts["messages"])[0] == {"role": "user", "content": "Hi & bye"}


def test_everybody_may_read_it(server: Server, store: Path, base: str) -> None:
    path = manifest_path(store, base)
    modes = [stat.S_IMODE(found.stat().st_mode) for found in (path, path.parent)]
    assert modes == [0o644, 0o755]
    for layer in json.loads(path.read_bytes())["layers"]:
        assert blob_path(store, layer["digest"]).stat().st_mode & 0o444 == 0o444


class TestLink:
    def test_a_manifest_by_hand_is_there_at_once(
        self, server: Server, store: Path, file: Path, name: str
    ) -> None:
        digest = link_in(store, file, name)
        assert server.digest(name) == digest
        shown = server.show(name)
        assert shown["capabilities"] == ["completion"]
        assert shown["parameters"].split() == ["stop", '"<|im_end|>"']
        assert server.weights(name) == hashlib.sha256(file.read_bytes()).hexdigest()

    def test_it_answers_and_stops(self, server: Server, store: Path, file: Path, name: str) -> None:
        link_in(store, file, name)
        body = {"model": name, "messages": [{"role": "user", "content": "x"}], "stream": False}
        answer = server.done("chat", **body, options={"temperature": 0}).json()
        assert answer["message"]["content"] == SAID
        assert answer["done_reason"] == "stop"
        server.done("generate", model=name, keep_alive=0)

    def test_the_file_stays_the_same_inode(
        self, server: Server, store: Path, file: Path, name: str
    ) -> None:
        link_in(store, file, name)
        before = file.stat()
        server.done("copy", source=name, destination=f"{name}:copy")
        server.create(f"{name}:child", **{"from": name})
        after = file.stat()
        assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
        assert after.st_nlink == 2
        # The three of them share it, and the last one takes the store's name of it away.
        for tag in ("latest", "copy", "child"):
            assert file.stat().st_nlink == 2
            assert server.delete(f"{name}:{tag}").is_success
        assert file.stat().st_nlink == 1

    def test_its_time_changes_when_a_model_is_made_of_it(
        self, server: Server, store: Path, file: Path, name: str
    ) -> None:
        link_in(store, file, name)
        os.utime(file, (1_000_000_000, 1_000_000_000))
        server.done("copy", source=name, destination=f"{name}:copy")
        assert file.stat().st_mtime == 1_000_000_000
        server.create(f"{name}:child", **{"from": name})
        touched = file.stat().st_mtime != 1_000_000_000
        assert touched is TARGET.since({"0.9": False, "0.21": True})

    def test_a_re_create_by_the_server_replaces_it(
        self, server: Server, store: Path, file: Path, name: str
    ) -> None:
        digest = link_in(store, file, name)
        uploaded = server.upload(file.read_bytes())
        server.create(name, files={"x.gguf": uploaded}, template=TEMPLATE)
        assert server.digest(name) != digest
        assert file.stat().st_nlink == 2

    def test_a_manifest_with_a_missing_blob_is_listed_and_cannot_be_shown(
        self, server: Server, store: Path, file: Path, name: str
    ) -> None:
        link_in(store, file, name)
        blob_path(store, digest_of(file.read_bytes())).unlink()
        assert f"{name}:latest" in server.tags()
        assert not server.post("show", model=name).is_success

    @pytest.mark.parametrize(
        ("length", "counts"),
        [(1535, True), (1536, False), (1537, True), (3583, True), (3584, False), (3585, True)],
    )
    def test_a_last_line_break_is_not_always_part_of_the_digest(
        self, server: Server, store: Path, file: Path, name: str, length: int, counts: bool
    ) -> None:
        whole = link_in(store, file, name, length=length)
        raw = manifest_path(store, name).read_bytes()
        assert len(raw) == length + 1
        bare = hashlib.sha256(raw[:-1]).hexdigest()
        assert server.digest(name) == (whole if counts else bare)


def test_what_is_no_manifest_is_passed_over(
    server: Server, store: Path, base: str, name: str
) -> None:
    path = manifest_path(store, name)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not JSON")
    try:
        tags = server.tags()
        assert f"{base}:latest" in tags
        assert f"{name}:latest" not in tags
    finally:
        path.unlink()


def test_a_manifest_deeper_or_higher_is_none(
    server: Server, store: Path, base: str, name: str
) -> None:
    raw = manifest_path(store, base).read_bytes()
    for path in (store / "manifests" / name, store / "manifests" / "h" / "n" / name / "t" / "deep"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    assert not [known for known in server.tags() if name in known]
    (store / "manifests" / name).unlink()


def test_an_upload_lies_under_its_digest(server: Server, store: Path, name: str) -> None:
    digest = server.upload(name.encode())
    assert blob_path(store, digest).read_bytes() == name.encode()
    assert not list((store / "blobs").glob("sha256-?????????"))

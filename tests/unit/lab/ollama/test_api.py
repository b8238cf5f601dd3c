# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints without inference: errors in Go's words, tags, show, copy, delete, blobs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import typing as t
from pathlib import Path

import httpx
import pytest

from lab.ollama.app import create_app
from lab.ollama.engine import EchoEngine
from lab.ollama.settings import Settings

NOTHING = "sha256:" + "0" * 64


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def test_liveness(empty: httpx.Client) -> None:
    assert empty.get("/").text == "Ollama is running"
    assert empty.head("/").status_code == 200
    assert empty.get("/api/version").json() == {"version": "0.32.15+standin"}
    assert empty.get("/api/tags").json() == {"models": []}
    assert empty.get("/api/ps").json() == {"models": []}


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nope", 404, "404 page not found"),
        ("PUT", "/api/tags", 405, "405 method not allowed"),
        ("GET", "/api/pull", 405, "405 method not allowed"),
    ],
)
def test_no_such_route(empty: httpx.Client, method: str, path: str, status: int, text: str) -> None:
    answer = empty.request(method, path)
    assert (answer.status_code, answer.text) == (status, text)
    assert answer.headers["content-type"] == "text/plain"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "missing request body"),
        ('{"model":', "unexpected EOF"),
        ('{"model":"a"', "unexpected EOF"),
        ("nope", "invalid character 'o' in literal null (expecting 'u')"),
        ("{model:1}", "invalid character 'm' looking for beginning of object key string"),
        ('{"model" "a"}', "invalid character '\"' after object key"),
        (
            '{"model":3}',
            "json: cannot unmarshal number into Go struct field PullRequest.model of type string",
        ),
        ("[1]", "json: cannot unmarshal array into Go value of type api.PullRequest"),
    ],
)
def test_bad_bodies(empty: httpx.Client, body: str, text: str) -> None:
    assert error(empty.post("/api/pull", content=body)) == (400, text)


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("show", {}, 400, "model is required"),
        ("show", {"model": "Nope"}, 404, "model 'Nope:latest' not found"),
        ("show", {"model": "b d"}, 400, "invalid model name"),
        ("pull", {"model": "x@sha256:00"}, 400, "invalid model name"),
        ("pull", {}, 400, "invalid model name"),
        ("copy", {"source": "nope", "destination": "x"}, 404, 'model "nope" not found'),
        ("copy", {"source": "b d", "destination": "x"}, 400, 'source "b d" is invalid'),
        ("copy", {"source": "x", "destination": "b d"}, 400, 'destination "b d" is invalid'),
        ("generate", {"model": "nope"}, 404, "model 'nope' not found"),
        ("generate", {}, 404, "model '' not found"),
        ("generate", {"model": "b d"}, 400, "invalid model name"),
        ("chat", {}, 400, "model is required"),
        ("embed", {"model": "nope"}, 404, 'model "nope" not found, try pulling it first'),
        ("embed", {"model": "nope", "input": [1]}, 400, "invalid input type"),
        ("embeddings", {}, 400, "model is required"),
        ("create", {"model": "m"}, 400, "neither 'from' or 'files' was specified"),
        ("create", {"model": "m", "files": {}}, 400, "unknown type"),
        ("create", {"model": "m", "files": {"../x": NOTHING}}, 400, "file path must be relative"),
        ("create", {"model": "m", "files": {"x.gguf": ""}}, 400, "invalid digest format"),
        ("create", {"model": "m", "from": "b d"}, 400, "invalid model name"),
        ("create", {"model": "b d", "from": "m"}, 400, "invalid model name"),
        ("push", {}, 400, "model is required"),
    ],
)
def test_refusals(
    empty: httpx.Client, path: str, body: dict[str, t.Any], status: int, text: str
) -> None:
    assert error(empty.post(f"/api/{path}", json=body)) == (status, text)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"model": "nope"}, 404, "model 'nope' not found"),
        ({"model": "b d"}, 400, 'name "b d" is invalid'),
        ({}, 400, "model is required"),
    ],
)
def test_refused_deletes(
    empty: httpx.Client, body: dict[str, t.Any], status: int, text: str
) -> None:
    assert error(empty.request("DELETE", "/api/delete", json=body)) == (status, text)


def test_tags(ollama: t.Any) -> None:
    digest = ollama.install()
    raw = (ollama.origin.root / "registry/manifests/library/smollm2/135m").read_bytes()
    assert digest == hashlib.sha256(raw).hexdigest()
    manifest = json.loads(raw)
    entry = ollama.tags()["smollm2:135m"]
    sizes = [layer["size"] for layer in [*manifest["layers"], manifest["config"]]]
    assert entry["size"] == sum(sizes)
    assert entry["details"] == {
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
        "parameter_size": "64", "quantization_level": "Q4_1", "context_length": 64,
        "embedding_length": 8,
    }  # fmt: skip
    assert entry["capabilities"] == ["completion"]


def test_newest_first_and_corrupt_ones_left_out(ollama: t.Any) -> None:
    ollama.install("old")
    ollama.install("new")
    library = ollama.store / "manifests/registry.ollama.ai/library"
    os.utime(library / "old/latest", (1, 1))
    (library / "bad").mkdir()
    (library / "bad/latest").write_text("{")
    assert list(ollama.tags()) == ["new:latest", "old:latest"]


def test_show(ollama: t.Any) -> None:
    ollama.install()
    answer = ollama.post("show", model="SMOLLM2:135M").json()
    weights = re.search(r"^FROM (.*)$", answer["modelfile"], re.MULTILINE)
    assert weights is not None
    assert Path(weights.group(1)).is_file()
    assert answer["parameters"].splitlines() == [
        'stop                           "<|im_start|>"',
        'stop                           "<|im_end|>"',
    ]
    assert answer["system"].startswith("You are a helpful")
    assert answer["capabilities"] == ["completion"]
    info = answer["model_info"]
    assert info["general.parameter_count"] == 64
    assert info["tokenizer.ggml.tokens"] is None
    assert "general.name" not in info
    assert answer["tensors"] == [{"name": "token_embd.weight", "type": "F32", "shape": [8, 8]}]
    verbose = ollama.post("show", model="smollm2:135m", verbose=True, system="other").json()
    assert verbose["model_info"]["tokenizer.ggml.tokens"] == ["a", "b", "日本"]
    assert verbose["system"] == "other"


def test_pooling_makes_an_embedding_model(ollama: t.Any) -> None:
    ollama.install("emb", "smollm2-embed")
    assert ollama.post("show", model="emb").json()["capabilities"] == ["embedding"]


def test_copy_and_delete_keep_shared_blobs(ollama: t.Any) -> None:
    digest = ollama.install("one")
    before = ollama.blobs()
    assert ollama.post("copy", source="ONE", destination="ns/two:x").content == b""
    assert ollama.tags()["ns/two:x"]["digest"] == digest
    assert ollama.http.request("DELETE", "/api/delete", json={"name": "one"}).content == b""
    assert (set(ollama.tags()), ollama.blobs()) == ({"ns/two:x"}, before)
    assert ollama.http.request("DELETE", "/api/delete", json={"model": "NS/two:x"}).is_success
    assert (ollama.tags(), ollama.blobs()) == ({}, set())
    assert list((ollama.store / "manifests").iterdir()) == []
    assert ollama.post("copy", source="same", destination="same").status_code == 200


def test_blobs(ollama: t.Any) -> None:
    data = b"hello" * 1000
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    url = f"/api/blobs/{digest}"
    assert ollama.http.head(url).status_code == 404
    assert ollama.http.post(url, content=data).status_code == 201
    assert ollama.http.post(url, content=data).status_code == 200
    assert ollama.http.head(url).status_code == 200
    assert (ollama.store / "blobs" / digest.replace(":", "-")).stat().st_mode & 0o777 == 0o644
    assert error(ollama.http.post("/api/blobs/sha256:x", content=b"")) == (
        400,
        "invalid digest format",
    )


def test_a_mismatched_upload_is_kept_under_its_own_digest(ollama: t.Any) -> None:
    got = "sha256:" + hashlib.sha256(b"world").hexdigest()
    answer = ollama.http.post(f"/api/blobs/{NOTHING}", content=b"world")
    assert error(answer) == (400, f'digest mismatch, expected "{NOTHING}", got "{got}"')
    assert ollama.blobs() == {got.replace(":", "-")}


def test_push_gets_as_far_as_its_errors(empty: httpx.Client) -> None:
    events = [
        json.loads(line)
        for line in empty.post("/api/push", json={"model": "nope"}).text.splitlines()
    ]
    assert [event.get("status") for event in events[:2]] == [
        "retrieving manifest",
        "couldn't retrieve manifest",
    ]
    assert events[2]["error"].endswith("/library/nope/latest: no such file or directory")


@pytest.mark.parametrize(
    ("noprune", "corrupt", "left"),
    [
        (False, False, {"sha256-young"}),
        (True, False, {"sha256-young", "sha256-old-partial", "sha256-" + "0" * 64}),
        (False, True, {"sha256-young", "sha256-old-partial", "sha256-" + "0" * 64}),
    ],
    ids=["prune", "noprune", "corrupt manifest"],
)
def test_start_up_prune(ollama: t.Any, noprune: bool, corrupt: bool, left: set[str]) -> None:
    ollama.install()
    kept, blobs = ollama.blobs(), ollama.store / "blobs"
    for name in ("sha256-young", "sha256-old-partial", "sha256:" + "0" * 64):
        (blobs / name).write_bytes(b"x")
        if name != "sha256-young":
            os.utime(blobs / name, (time.time() - 7200,) * 2)
    for name in kept:
        os.utime(blobs / name, (1, 1))
    if corrupt:
        (ollama.store / "manifests/registry.ollama.ai/library/smollm2/135m").write_text("{")
    create_app(ollama.store, EchoEngine(), settings=Settings(noprune=noprune))
    assert ollama.blobs() == kept | left

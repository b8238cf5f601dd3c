# SPDX-License-Identifier: GPL-3.0-or-later
"""Create: layers and their order, merging with a base, uploads, and the errors on the way."""

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

import pytest

from lab.ollama.settings import Settings

NOTHING = "sha256:" + "0" * 64


def manifest(ollama: t.Any, name: str) -> dict[str, t.Any]:
    path = ollama.store / "manifests/registry.ollama.ai/library" / name / "latest"
    return dict(json.loads(path.read_bytes()))


def layers(ollama: t.Any, name: str) -> list[tuple[str, str]]:
    """Kind and text of each layer but the weights."""
    found = []
    for layer in manifest(ollama, name)["layers"]:
        blob = ollama.store / "blobs" / layer["digest"].replace(":", "-")
        kind = layer["mediaType"].rpartition(".")[2]
        found.append((kind, "" if kind == "model" else blob.read_text()))
    return found


def upload(ollama: t.Any, path: Path) -> str:
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert ollama.http.post(f"/api/blobs/{digest}", content=path.read_bytes()).is_success
    return digest


FULL: dict[str, t.Any] = {
    "template": "{{ .Prompt }}!",
    "system": "You <b>are</b> 日本語",
    "parameters": {"temperature": 0.7, "num_ctx": 1024, "stop": ["A<", "B"]},
    "license": ["one", "two"],
    "messages": [{"role": "User", "content": "hi & bye 𠮷"}],
}


def test_from_a_file(ollama: t.Any, tiny_gguf: Path) -> None:
    digest = upload(ollama, tiny_gguf)
    events = ollama.events("create", model="made", files={"x.gguf": digest}, **FULL)
    assert [event["status"].split(" sha256")[0] for event in events] == [
        "parsing GGUF",
        "using existing layer",
        *["creating new layer"] * 6,
        "writing manifest",
        "success",
    ]
    assert layers(ollama, "made") == [
        ("model", ""),
        ("template", "{{ .Prompt }}!"),
        ("system", "You <b>are</b> 日本語"),
        ("license", "one"),
        ("license", "two"),
        ("params", '{"num_ctx":1024,"stop":["A\\u003c","B"],"temperature":0.7}\n'),
        ("messages", '[{"role":"user","content":"hi \\u0026 bye 𠮷"}]\n'),
    ]
    document = manifest(ollama, "made")
    assert document["layers"][0]["digest"] == digest
    assert "from" not in document["layers"][0]
    config = ollama.store / "blobs" / document["config"]["digest"].replace(":", "-")
    assert config.read_text() == (
        '{"model_format":"gguf","model_family":"llama","model_families":["llama"],'
        '"model_type":"64","file_type":"Q4_1","architecture":"amd64","os":"linux"}\n'
    )
    shown = ollama.post("show", model="made").json()
    assert shown["messages"] == [{"role": "user", "content": "hi & bye 𠮷"}]
    assert shown["license"] == "one\ntwo"
    assert shown["details"]["parent_model"] == ""


def test_the_same_request_gives_the_same_digest(ollama: t.Any, tiny_gguf: Path) -> None:
    files = {"x.gguf": upload(ollama, tiny_gguf)}
    for name in ("one", "two"):
        answer = ollama.post("create", model=name, files=files, stream=False, **FULL)
        assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    tags = ollama.tags()
    assert tags["one:latest"]["digest"] == tags["two:latest"]["digest"]
    raw = (ollama.store / "manifests/registry.ollama.ai/library/one/latest").read_bytes()
    assert raw.endswith(b"}\n")


def test_from_a_base(ollama: t.Any) -> None:
    ollama.install("base")
    made = {
        "model": "made",
        "from": "BASE",
        "system": "Mine.",
        "parameters": {"stop": ["Z"], "seed": 1048576.0},
        "license": "mine",
    }
    events = ollama.events("create", **made)
    assert events[-2:] == [{"status": "writing manifest"}, {"status": "success"}]
    base = dict(layers_of_origin(ollama))
    assert layers(ollama, "made") == [
        ("model", ""),
        ("template", base["template"]),
        ("license", base["license"]),
        ("system", "Mine."),
        ("license", "mine"),
        ("params", '{"seed":1048576,"stop":["Z"]}\n'),
    ]
    origins = [layer.get("from") for layer in manifest(ollama, "made")["layers"]]
    assert origins == ["base:latest"] * 3 + [None] * 3
    shown = ollama.post("show", model="made").json()
    assert shown["details"]["parent_model"] == "base:latest"
    assert "PARAMETER seed 1.048576e+06\n" in shown["modelfile"]


def layers_of_origin(ollama: t.Any) -> list[tuple[str, str]]:
    registry = ollama.origin.root / "registry"
    document = json.loads((registry / "manifests/library/smollm2/135m").read_bytes())
    return [
        (
            layer["mediaType"].rpartition(".")[2],
            (registry / "blobs" / layer["digest"].replace(":", "-")).read_text(errors="replace"),
        )
        for layer in document["layers"]
    ]


def test_a_base_that_is_not_there_is_pulled_by_https(ollama: t.Any) -> None:
    events = ollama.events("create", model="made", **{"from": ollama.remote})
    assert events[0] == {"status": "pulling manifest"}
    assert "server gave HTTP response to HTTPS client" in events[1]["error"]
    assert ollama.tags() == {}


def test_renderer_parser_and_requires_are_inherited(ollama: t.Any) -> None:
    ollama.install("base")
    ollama.events("create", model="a", renderer="r", requires="0.14.0", **{"from": "base"})
    ollama.events("create", model="b", parser="p", **{"from": "a"})
    shown = ollama.post("show", model="b").json()
    assert shown["requires"] == "0.14.0"
    assert "RENDERER r\nPARSER p\n" in shown["modelfile"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"files": {"x.gguf": NOTHING}}, 500, "open {blobs}/sha256-" + "0" * 64
         + ": no such file or directory"),
        ({"files": {"x.gguf": "zzz"}}, 500, "invalid digest format"),
        ({"files": {"x.bin": NOTHING}}, 400, "unknown type"),
        ({"files": {"x.gguf": "{junk}"}}, 400, "supplied file was not in GGUF format"),
        ({"files": {"x": "{junk}"}}, 400, "unknown type"),
        ({"from": "base", "template": "{{ if .X }}"}, 400,
         "template error: template: :1: unexpected EOF"),
        ({"from": "base", "quantize": "nope"}, 500, ("unsupported quantization type NOPE - "
         "supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0")),
        ({"from": "base", "quantize": "Q8_0"}, 500,
         "quantization is only supported for F16, BF16 and F32 models"),
    ],
)  # fmt: skip
def test_errors_change_nothing(
    ollama: t.Any, tmp_path: Path, body: dict[str, t.Any], status: int, text: str
) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"not a model")
    digest = upload(ollama, junk)
    ollama.install("base")
    before = ollama.tags()
    sent = json.loads(json.dumps(body).replace("{junk}", digest))
    answer = ollama.post("create", model="base", stream=False, **sent)
    expected = text.replace("{blobs}", str(ollama.store / "blobs"))
    assert (answer.status_code, answer.json()["error"]) == (status, expected)
    assert ollama.tags() == before


def test_a_late_error_is_a_line_under_http_200(ollama: t.Any) -> None:
    answer = ollama.post("create", model="x", files={"x.gguf": NOTHING})
    assert answer.status_code == 200
    first, second = map(json.loads, answer.text.splitlines())
    assert first == {"status": "parsing GGUF"}
    assert second["error"].endswith("no such file or directory")


class TestPrune:
    """What happens to layers that only the previous model of that name used."""

    @pytest.fixture
    def settings(self, request: pytest.FixtureRequest) -> Settings:
        return Settings(noprune=request.param)

    @pytest.mark.parametrize(
        ("settings", "kept"), [(False, False), (True, True)], indirect=["settings"]
    )
    def test_recreate(self, ollama: t.Any, kept: bool) -> None:
        ollama.install("base")
        for text in ("old", "new"):
            ollama.events("create", model="made", system=text, **{"from": "base"})
        old = "sha256-" + hashlib.sha256(b"old").hexdigest()
        assert (old in ollama.blobs()) is kept

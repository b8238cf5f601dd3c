# SPDX-License-Identifier: GPL-3.0-or-later
"""Show and tags: the fields that a comparison of models rests on."""

from __future__ import annotations

import datetime as dt
import re
import typing as t

import pytest

from tests.contract import weights
from tests.contract.server import Server
from tests.contract.target import TARGET


def test_texts(server: Server, base: str) -> None:
    shown = server.show(base)
    assert shown["system"] == "Be short."
    assert shown["license"] == "One licence.\nAnother."
    assert shown["messages"] == [
        {"role": "user", "content": "Hi & bye"},
        {"role": "assistant", "content": "𠮷"},
    ]


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        ({"num_ctx": 4096}, ["num_ctx                        4096"]),
        ({"num_ctx": 1048576}, ["num_ctx                        1.048576e+06"]),
        ({"temperature": 1.0}, ["temperature                    1"]),
        ({"temperature": 0.1}, ["temperature                    0.1"]),
        ({"use_mmap": False}, ["use_mmap                       false"]),
        ({"stop": ["a", "b\n"]}, ['stop                           "a"',
                                  'stop                           "b\\n"']),
        ({"stop": ['say "x"', "日本"]}, ['stop                           "say \\"x\\""',
                                         'stop                           "日本"']),
    ],
)  # fmt: skip
def test_parameters(
    server: Server, gguf: str, name: str, given: dict[str, t.Any], printed: list[str]
) -> None:
    server.create(name, files={"x.gguf": gguf}, template="x", parameters=given)
    assert server.show(name)["parameters"].splitlines() == printed


def test_the_modelfile(server: Server, base: str) -> None:
    lines = server.show(base)["modelfile"].splitlines()
    assert re.fullmatch(r"FROM /.*/blobs/sha256-[0-9a-f]{64}", lines[4])
    assert "SYSTEM Be short." in lines
    assert "PARAMETER num_ctx 128" in lines
    assert "PARAMETER stop A<" in lines
    assert "MESSAGE user Hi & bye" in lines
    assert "LICENSE One licence." in lines


def test_the_weights(server: Server, base: str) -> None:
    shown = server.show(base)
    info = shown["model_info"]
    assert info["general.architecture"] == "llama"
    assert info["llama.context_length"] == weights.CONTEXT
    assert info["llama.embedding_length"] == weights.WIDTH
    assert "general.name" not in info
    assert "tokenizer.chat_template" not in info
    details = shown["details"]
    assert details["format"] == "gguf"
    assert details["family"] == "llama"
    assert details["families"] == ["llama"]
    # The number 0, which stands for F32, is taken for none.
    assert details["quantization_level"] == "unknown"


def test_the_parent_of_a_model_from_a_file(server: Server, base: str) -> None:
    parent = server.show(base)["details"]["parent_model"]
    is_the_upload = parent.endswith(f"/blobs/sha256-{server.weights(base)}")
    assert is_the_upload is bool(parent) is TARGET.since({"0.9": True, "0.30": False})


def test_a_long_list_in_the_weights_is_left_out(server: Server, base: str) -> None:
    info = server.show(base)["model_info"]
    assert not info["tokenizer.ggml.tokens"]
    whole = server.done("show", model=base, verbose=True).json()["model_info"]
    assert len(whole["tokenizer.ggml.tokens"]) == weights.WIDTH


def test_capabilities(server: Server, base: str, embedder: str) -> None:
    assert server.show(base)["capabilities"] == ["completion"]
    assert server.show(embedder)["capabilities"] == ["embedding"]


def test_what_tags_tell_beside_the_digest(server: Server, base: str) -> None:
    entry = server.tags()[f"{base}:latest"]
    assert {"name", "model", "modified_at", "size", "digest", "details"} <= set(entry)
    assert re.fullmatch(r"[0-9a-f]{64}", entry["digest"])
    tells_more = TARGET.since({"0.9": False, "0.30": True})
    assert (entry.get("capabilities") == ["completion"]) is tells_more
    details = entry["details"]
    assert (details.get("context_length") == weights.CONTEXT) is tells_more
    assert (details.get("embedding_length") == weights.WIDTH) is tells_more


def test_times_are_of_this_moment(server: Server, base: str, name: str) -> None:
    server.create(name, **{"from": base})
    # Python reads up to six digits of a second, Go writes up to nine.
    text = re.sub(r"\.\d+", "", server.tags()[f"{name}:latest"]["modified_at"])
    age = dt.datetime.now(dt.timezone.utc) - dt.datetime.fromisoformat(text)
    assert -2 < age.total_seconds() < 60


def test_the_newest_comes_first(server: Server, base: str, name: str) -> None:
    server.create(name, **{"from": base})
    stamps = [
        dt.datetime.fromisoformat(re.sub(r"\.\d+", "", entry["modified_at"]))
        for entry in server.tags().values()
    ]
    assert stamps == sorted(stamps, reverse=True)

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest


@pytest.fixture
def info(run_module, ollama):
    return lambda **params: run_module("ollama_model_info", url=ollama.url, **params)


def test_empty_server_has_a_version_and_no_models(info):
    result = info()
    assert result["changed"] is False
    assert result["server_version"] == "0.32.15+standin"
    assert result["models"] == []


def test_models_are_listed_by_complete_names(info, ollama, registry):
    one, two = registry.offer("bge-m3", embeds=True), registry.offer("qwen2.5:7b")
    ollama.pull("qwen2.5:7b", registry)
    ollama.pull("bge-m3", registry)
    models = info()["models"]
    assert [(model["name"], model["full_name"], model["digest"]) for model in models] == [
        ("bge-m3:latest", "registry.ollama.ai/library/bge-m3:latest", one),
        ("qwen2.5:7b", "registry.ollama.ai/library/qwen2.5:7b", two),
    ]
    assert [model["capabilities"] for model in models] == [["embedding"], ["completion"]]
    assert models[0]["size"] == sum(registry.layers("bge-m3").values())
    assert (models[0]["family"], models[0]["context_length"]) == ("llama", 2048)


@pytest.mark.parametrize("name", ["qwen2.5:7b", "QWEN2.5:7B", "library/qwen2.5:7b"])
def test_one_model_is_found_by_any_spelling(info, ollama, registry, name):
    registry.offer("qwen2.5:7b")
    ollama.pull("qwen2.5:7b", registry)
    ollama.copy("qwen2.5:7b", "qwen2.5")
    assert [model["name"] for model in info(name=name)["models"]] == ["qwen2.5:7b"]


def test_model_that_is_not_there_is_no_failure(info):
    assert info(name="x")["models"] == []


def test_invalid_name_is_refused(info, traffic):
    assert "Invalid model name" in info(name="a b", fails=True)["msg"]
    assert traffic.lines() == []


def test_check_mode_tells_the_same(info, ollama, registry):
    registry.offer("x")
    ollama.pull("x", registry)
    assert info(check_mode=True)["models"] == info()["models"]

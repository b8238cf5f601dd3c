# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import shutil

import pytest
from ansible.module_utils.basic import AnsibleModule
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    return said


@pytest.fixture
def info(run_module, ollama, warnings):
    return lambda **params: run_module("ollama_model_info", **{"url": ollama.url, **params})


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


def test_several_models_are_found_by_any_spelling(info, ollama, registry):
    registry.offer("qwen2.5:7b")
    ollama.pull("qwen2.5:7b", registry)
    for name in ("qwen2.5", "qwen2.5-coder:7b"):
        ollama.copy("qwen2.5:7b", name)
    listed = info(names=["QWEN2.5", "qwen2.5:7b", "absent"])["models"]
    assert [model["name"] for model in listed] == ["qwen2.5:7b", "qwen2.5:latest"]
    assert info(names=[])["models"] == []


def test_name_and_names_exclude_each_other(info):
    assert "mutually exclusive" in info(name="x", names=["y"], fails=True)["msg"]


# --- with the store ------------------------------------------------------------------------------


def test_store_tells_layers_and_the_manifest_to_the_letter(info, ollama, registry, warnings):
    digest = registry.offer("x")
    ollama.pull("x", registry)
    result = info(store=str(ollama.store))
    (model,) = result["models"]
    assert hashlib.sha256(model["manifest"].encode()).hexdigest() == digest
    assert {layer["digest"]: layer["size"] for layer in model["layers"]} == registry.layers("x")
    assert model["layers"][0]["media_type"] == "application/vnd.ollama.image.model"
    assert {(layer["present"], layer["links"]) for layer in model["layers"]} == {(True, False)}
    assert warnings == []


def test_without_the_store_nothing_is_told_of_it(info, ollama, registry):
    registry.offer("x")
    ollama.pull("x", registry)
    assert {"layers", "manifest"} & set(info()["models"][0]) == set()


def test_blobs_that_are_missing_cut_or_linked_are_told(info, ollama, registry, tmp_path):
    registry.offer("x")
    ollama.pull("x", registry)
    weights, template, params, config = (
        ollama.store / "blobs" / digest.replace(":", "-") for digest in registry.layers("x")
    )
    (tmp_path / "x.gguf").hardlink_to(weights)
    template.unlink()
    params.write_bytes(b"")
    (model,) = info(store=str(ollama.store))["models"]
    assert model["capabilities"] is None
    told = [(layer["present"], layer["links"]) for layer in model["layers"]]
    assert told == [(True, True), (False, False), (False, False), (True, False)]
    assert config.exists()


def test_newline_that_the_server_does_not_count_is_left_out(info, ollama, registry, served):
    registry.offer("x")
    ollama.pull("x", registry)
    path = ollama.store / "manifests/registry.ollama.ai/library/x/latest"
    counted = path.read_bytes()
    path.write_bytes(counted + b"\n")
    listed = {"name": "x:latest", "digest": hashlib.sha256(counted).hexdigest(), "size": 1}

    async def tags(_request):
        return JSONResponse({"models": [{**listed, "capabilities": []}]})

    async def version(_request):
        return JSONResponse({"version": "0.33.0"})

    routes = [Route("/api/tags", tags), Route("/api/version", version)]
    (model,) = info(url=served(Starlette(routes=routes)), store=str(ollama.store))["models"]
    assert model["manifest"].encode() == counted
    assert len(model["layers"]) == 4


@pytest.mark.parametrize("fault", ["absent", "another"])
def test_model_that_the_store_has_otherwise_is_warned_of(
    info, ollama, registry, warnings, tmp_path, fault
):
    registry.offer("x")
    ollama.pull("x", registry)
    other = tmp_path / "other"
    shutil.copytree(ollama.store, other)
    manifest = other / "manifests/registry.ollama.ai/library/x/latest"
    if fault == "absent":
        manifest.unlink()
    else:
        manifest.write_bytes(manifest.read_bytes() + b" ")
    result = info(store=str(other))
    assert [(model["layers"], model["manifest"]) for model in result["models"]] == [(None, None)]
    (warning,) = warnings
    assert "does not have x:latest as the server lists it" in warning


def test_folder_that_is_no_store_is_refused_before_anything_is_asked(info, tmp_path, traffic):
    assert "is not a store of Ollama" in info(store=str(tmp_path), fails=True)["msg"]
    assert traffic.lines() == []

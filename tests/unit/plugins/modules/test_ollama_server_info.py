# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


@pytest.fixture
def info(run_module, ollama):
    return lambda **params: run_module("ollama_server_info", **{"url": ollama.url, **params})


@pytest.fixture
def running(served, info):
    """What is told of a server that says this of what it has loaded."""

    def ask(*loaded):
        def answering(document):
            async def endpoint(_request):
                return JSONResponse(document)

            return endpoint

        answers = {
            "/api/version": {"version": "0.33.0"},
            "/api/tags": {"models": []},
            "/api/ps": {"models": list(loaded)},
        }
        routes = [Route(path, answering(document)) for path, document in answers.items()]
        return info(url=served(Starlette(routes=routes)))["running"]

    return ask


def test_idle_server_has_a_version_and_nothing_running(info, ollama):
    result = info(url=f"{ollama.url}/")
    assert result["changed"] is False
    assert (result["version"], result["url"]) == ("0.32.15+standin", ollama.url)
    assert result["running"] == []
    assert result["models"] == {"count": 0, "distinct": 0, "snapshots": 0}
    assert "store" not in result


def test_models_are_counted_by_name_and_by_digest(info, ollama, registry):
    for name in ("x", "y"):
        digest = registry.offer(name, weights=name)
        ollama.pull(name, registry)
    for alias in ("alias", f"y:latest-prev-{digest[:12]}"):
        ollama.copy("y", alias)
    assert info()["models"] == {"count": 4, "distinct": 2, "snapshots": 1}


def test_loaded_model_is_told_with_where_it_is(info, run_module, ollama, registry, traffic):
    digest = registry.offer("me.x:7b")
    ollama.pull("me.x:7b", registry)
    run_module("ollama_probe", url=ollama.url, name="me.x:7b", options={"num_ctx": 512})
    traffic.clear()
    (told,) = info()["running"]
    assert (told["name"], told["digest"]) == ("me.x:7b", digest)
    assert told["full_name"] == "registry.ollama.ai/library/me.x:7b"
    assert (told["size"] > 0, told["size_vram"]) == (True, 0)
    assert (told["processor"], told["gpu_share"]) == ("100% CPU", 0)
    assert told["context_length"] == 512
    assert told["expires_at"].startswith("20")
    assert traffic.lines() == ["GET /api/version", "GET /api/tags", "GET /api/ps"]


@pytest.mark.parametrize(
    ("size", "size_vram", "processor", "share"),
    [
        (100, 0, "100% CPU", 0),
        (100, 100, "100% GPU", 100),
        (100, 63, "37% CPU / 63% GPU", 63),
        (10000, 9996, "0% CPU / 100% GPU", 99.9),
        (0, 0, "Unknown", None),
        (100, 101, "Unknown", None),
    ],
)
def test_share_of_the_gpu_is_told_in_words_and_percent(running, size, size_vram, processor, share):
    (told,) = running({"name": "x", "size": size, "size_vram": size_vram})
    assert (told["processor"], told["gpu_share"]) == (processor, share)
    assert (told["name"], told["context_length"]) == ("x:latest", None)


# --- with the store ------------------------------------------------------------------------------


def test_store_tells_how_the_disk_is_used(info, ollama, registry, tmp_path):
    for name in ("x", "y"):
        registry.offer(name, weights=name, padding=5000)
        ollama.pull(name, registry)
    shared = set(registry.layers("x")) & set(registry.layers("y"))
    sizes = registry.layers("x") | registry.layers("y")
    weights = ollama.store / "blobs" / next(iter(registry.layers("y"))).replace(":", "-")
    (tmp_path / "y.gguf").hardlink_to(weights)
    for name, content in (
        ("sha256-" + "a" * 64, b"12345"),
        ("sha256-" + "b" * 64 + "-partial", b"1234"),
        ("sha256-" + "b" * 64 + "-partial-0", b"{}"),
        ("sha256-123", b"1"),
    ):
        (ollama.store / "blobs" / name).write_bytes(content)
    told = info(store=str(ollama.store))["store"]
    assert told["path"] == str(ollama.store)
    disk = os.statvfs(ollama.store)
    assert told["disk_size"] == disk.f_blocks * disk.f_frsize
    assert 0 < told["disk_free"] <= told["disk_size"]
    assert told["blobs"] == {"count": len(sizes) + 1, "size": sum(sizes.values()) + 5}
    assert told["orphans"] == {"count": 1, "size": 5}
    assert told["partials"] == {"count": 2, "size": 7}
    assert told["broken"] == []
    whole = {name: sum(registry.layers(name).values()) for name in ("x", "y")}
    common = sum(sizes[digest] for digest in shared)
    assert told["models"] == [
        {"name": "x:latest", "size": whole["x"], "own": whole["x"] - common},
        # Its weights are a file outside of the store too.
        {"name": "y:latest", "size": whole["y"], "own": 0},
    ]


def test_broken_manifest_leaves_orphans_unknown(info, ollama):
    path = ollama.store / "manifests/registry.ollama.ai/library/x/latest"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    told = info(store=str(ollama.store))["store"]
    assert told["orphans"] is None
    (broken,) = told["broken"]
    assert (broken["path"], broken["error"].startswith("Expecting value")) == (str(path), True)


def test_folder_that_is_no_store_is_refused_before_anything_is_asked(info, tmp_path, traffic):
    assert "is not a store of Ollama" in info(store=str(tmp_path), fails=True)["msg"]
    assert traffic.lines() == []


def test_check_mode_tells_the_same(info):
    assert info(check_mode=True)["models"] == info()["models"]

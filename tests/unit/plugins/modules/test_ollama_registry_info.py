# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest


@pytest.fixture
def ask(run_module, registry):
    def ask(*names, **params):
        params = {"registry_mirror": registry.url, **params}
        return run_module("ollama_registry_info", names=list(names), **params)

    return ask


def test_offers_are_told_in_the_order_asked_for(ask, registry):
    two, one = registry.offer("two:7b", weights="2"), registry.offer("one", weights="1")
    result = ask("two:7b", "one")
    assert result["changed"] is False
    assert [(model["name"], model["digest"]) for model in result["models"]] == [
        ("two:7b", two),
        ("one:latest", one),
    ]
    blobs = registry.layers("one")
    told = result["models"][1]
    assert told["full_name"] == "registry.ollama.ai/library/one:latest"
    assert {layer["digest"]: layer["size"] for layer in told["layers"]} == blobs
    assert told["size"] == sum(blobs.values())
    assert told["layers"][0]["media_type"] == "application/vnd.ollama.image.model"
    assert told["error"] is None


def test_one_unknown_model_does_not_hide_the_others(ask, registry):
    registry.offer("one")
    unknown, known = ask("unknown", "one")["models"]
    assert "unknown:latest (404)" in unknown["error"]
    assert (unknown["digest"], unknown["size"], unknown["layers"]) == (None, None, [])
    assert known["error"] is None


def test_version_of_the_server_that_would_pull_is_told(ask, registry, traffic):
    registry.offer("one")
    ask("one", user_agent_version="0.9.0")
    assert traffic.requests[0].headers["user-agent"].startswith("ollama/0.9.0 ")


def test_model_that_needs_a_newer_server_is_an_error_of_its_own(ask, registry):
    registry.offer("one")
    (registry.root / "requires.json").write_text('{"library/one:latest": "0.30.0"}')
    (told,) = ask("one", user_agent_version="0.24.0")["models"]
    assert "needs a newer Ollama than 0.24.0" in told["error"]
    (told,) = ask("one", user_agent_version="0.32.15")["models"]
    assert told["error"] is None


def test_registry_that_is_down_is_told_for_each(ask, nobody):
    models = ask("one", "two", registry_mirror=nobody)["models"]
    assert ["registry_mirror" in model["error"] for model in models] == [True, True]


@pytest.mark.parametrize("params", [{"names": ["a b"]}, {"registry_mirror": "mirror"}])
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(run_module, traffic, params):
    run_module("ollama_registry_info", fails=True, **{"names": ["one"], **params})
    assert traffic.lines() == []


def test_no_weights_are_fetched(ask, registry, traffic):
    registry.offer("one")
    ask("one", check_mode=True)
    assert traffic.lines() == ["GET /v2/library/one/manifests/latest"]

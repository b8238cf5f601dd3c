# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against the stand-in and its registry; decisions alone are in test_plan.py."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def model(run_module, ollama, registry):
    """Run the module for this server, through the registry as its mirror."""

    def run(name="qwen2.5:7b-instruct", **params):
        connection = {"url": ollama.url, "registry_mirror": registry.url, "timeout": 10}
        return run_module("ollama_model", **{"name": name, **connection, **params})

    return run


def actions(result):
    return [action["action"] for action in result["plan"]["actions"]]


# --- what the module is for ----------------------------------------------------------------------


def test_absent_model_is_installed_under_its_own_name(model, ollama, registry):
    digest = registry.offer("qwen2.5:7b-instruct")
    result = model()
    assert result["changed"] is True
    assert ollama.tags() == {"qwen2.5:7b-instruct": digest}
    assert result["model"]["digest"] == digest
    assert result["model"]["name"] == "qwen2.5:7b-instruct"
    assert result["model"]["full_name"] == "registry.ollama.ai/library/qwen2.5:7b-instruct"
    assert result["model"]["family"] == "llama"
    assert actions(result) == ["pull", "copy", "delete"]
    assert result["plan"]["bytes_fetch"] == sum(registry.layers("qwen2.5:7b-instruct").values())
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"]["digest"] == digest


def test_installed_model_costs_no_request_to_any_registry(model, registry, traffic):
    registry.offer("qwen2.5:7b-instruct")
    model()
    registry.offer("qwen2.5:7b-instruct", weights="newer")
    traffic.clear()
    assert model()["changed"] is False
    assert traffic.lines() == ["GET /api/tags"]


def test_latest_follows_the_registry(model, ollama, registry):
    old = registry.offer("qwen2.5:7b-instruct")
    model()
    assert model(state="latest")["changed"] is False
    new = registry.offer("qwen2.5:7b-instruct", weights="newer")
    result = model(state="latest")
    assert result["changed"] is True
    assert (result["diff"]["before"]["digest"], result["diff"]["after"]["digest"]) == (old, new)
    assert ollama.tags() == {"qwen2.5:7b-instruct": new}
    assert model(state="latest")["changed"] is False


def test_update_fetches_only_the_blobs_that_are_new(model, registry):
    registry.offer("qwen2.5:7b-instruct")
    before = registry.layers("qwen2.5:7b-instruct")
    model()
    registry.offer("qwen2.5:7b-instruct", weights="newer and longer")
    after = registry.layers("qwen2.5:7b-instruct")
    plan = model(state="latest")["plan"]
    assert plan["bytes_fetch"] == sum(size for blob, size in after.items() if blob not in before)
    assert plan["bytes_reuse"] == sum(size for blob, size in after.items() if blob in before)


def test_expected_digest_is_installed(model, ollama, registry):
    old = registry.offer("qwen2.5:7b-instruct")
    assert model(digest=f"sha256:{old}")["changed"] is True
    new = registry.offer("qwen2.5:7b-instruct", weights="newer")
    assert model(digest=old)["changed"] is False
    assert model(digest=new)["changed"] is True
    assert ollama.tags() == {"qwen2.5:7b-instruct": new}


@pytest.mark.parametrize("state", ["present", "latest"])
@pytest.mark.parametrize("check_mode", [True, False])
def test_other_digest_than_expected_is_refused_before_any_change(
    model, ollama, registry, traffic, state, check_mode
):
    old = registry.offer("qwen2.5:7b-instruct")
    model()
    new = registry.offer("qwen2.5:7b-instruct", weights="newer")
    traffic.clear()
    result = model(state=state, digest="0" * 64, check_mode=check_mode, fails=True)
    assert "0" * 64 in result["msg"]
    assert new in result["msg"]
    assert [seen.line for seen in traffic.requests if seen.mutates] == []
    assert ollama.tags() == {"qwen2.5:7b-instruct": old}


def test_model_is_known_by_another_name_than_it_is_pulled_by(model, ollama, registry):
    digest = registry.offer("original:q4")
    # The namespace of hf.co's name is looked for at the mirror, as Ollama itself would.
    result = model("mine", registry="original:q4")
    assert (result["changed"], ollama.tags()) == (True, {"mine:latest": digest})
    assert model("mine", registry="original:q4")["changed"] is False


def test_name_at_the_mirror_itself_needs_no_copy(model, ollama, registry):
    digest = registry.offer("x")
    name = f"{registry.url.removeprefix('http://')}/library/x"
    result = model(name)
    assert actions(result) == ["pull"]
    assert ollama.tags() == {f"{name}:latest": digest}


def test_present_model_is_removed(model, ollama, registry):
    digest = registry.offer("qwen2.5:7b-instruct")
    model()
    result = model(state="absent")
    assert result["changed"] is True
    assert result["model"] is None
    assert (result["diff"]["before"]["digest"], result["diff"]["after"]) == (digest, {})
    assert ollama.tags() == {}
    assert model(state="absent")["changed"] is False


def test_loaded_model_is_taken_out_of_memory_when_removed(model, run_module, ollama, registry):
    registry.offer("x")
    model("x")
    run_module("ollama_probe", url=ollama.url, name="x")
    assert ollama.engine.closed == 0
    assert actions(model("x", state="absent")) == ["unload", "delete"]
    assert ollama.engine.closed == 1


def test_progress_is_written_to_the_status_file(model, registry, tmp_path):
    registry.offer("x")
    model("x", status_file=str(tmp_path / "status"))
    status = json.loads((tmp_path / "status").read_text())
    assert status["name"] == "x:latest"
    assert status["bytes_total"] == sum(registry.layers("x").values())


def test_connection_is_taken_from_the_environment(run_module, ollama, monkeypatch, traffic):
    monkeypatch.setenv("OLLAMA_URL", ollama.url)
    run_module("ollama_model", name="x", state="absent")
    assert traffic.lines("ollama") == ["GET /api/tags"]


# --- check mode ----------------------------------------------------------------------------------

STARTS = {
    "absent": lambda _ollama, _registry: None,
    "present": lambda ollama, registry: ollama.pull("x", registry),
    "stale": lambda ollama, registry: (
        ollama.pull("x", registry),
        registry.offer("x", weights="newer"),
    ),
    "other tag": lambda ollama, registry: ollama.pull("x", registry, known_as="x:other"),
    "alias": lambda ollama, registry: ollama.pull("x", registry, known_as="y"),
    "other letters": lambda ollama, registry: ollama.pull("x", registry, known_as="X:Latest"),
    "leftover": lambda ollama, registry: (
        ollama.pull("x", registry),
        ollama.copy("x", f"{registry.url.removeprefix('http://')}/library/x"),
        ollama.delete("x"),
    ),
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("state", ["present", "latest", "absent"])
def test_check_mode_predicts_what_then_happens(model, ollama, registry, traffic, start, state):
    registry.offer("x")
    STARTS[start](ollama, registry)
    before = ollama.tags()
    traffic.clear()
    foreseen = model("x", state=state, check_mode=True)
    assert ollama.tags() == before
    done = model("x", state=state)
    for key in ("changed", "plan", "diff"):
        assert foreseen[key] == done[key], key
    told = foreseen["model"] or {}
    assert told.items() <= (done["model"] or {}).items()
    assert bool(foreseen["model"]) is bool(done["model"])
    changed = ollama.tags() != before
    assert done["changed"] is changed
    again = model("x", state=state)
    assert (again["changed"], again["plan"]["actions"]) == (False, [])


def test_check_mode_only_reads(model, registry, traffic):
    registry.offer("x")
    model("x", check_mode=True)
    blobs = [f"HEAD /api/blobs/{digest}" for digest in registry.layers("x")]
    assert traffic.lines("ollama") == ["GET /api/tags", "GET /api/version", *blobs]
    assert traffic.lines("registry") == ["GET /v2/library/x/manifests/latest"]


# --- faults --------------------------------------------------------------------------------------


def test_failed_update_leaves_the_old_model_served(model, ollama, registry):
    old = registry.offer("x")
    model("x")
    registry.offer("x", weights="newer")
    broken = next(iter(registry.layers("x")))
    registry.blob(broken).unlink()
    result = model("x", state="latest", fails=True)
    assert "file does not exist" in result["msg"]
    assert ollama.tags() == {"x:latest": old}


def test_damaged_blob_fails_though_http_says_200(model, ollama, registry, traffic):
    registry.offer("x")
    damaged = registry.blob(next(iter(registry.layers("x"))))
    damaged.write_bytes(bytes(damaged.stat().st_size))
    result = model("x", fails=True)
    assert "digest mismatch" in result["msg"]
    assert ollama.tags() == {}


def test_next_run_completes_what_was_interrupted(model, ollama, registry):
    digest = registry.offer("x")
    config = registry.blob(list(registry.layers("x"))[-1])
    content = config.read_bytes()
    config.unlink()
    model("x", fails=True)
    config.write_bytes(content)
    result = model("x")
    assert result["plan"]["bytes_fetch"] == len(content)
    assert ollama.tags() == {"x:latest": digest}


def test_registry_that_changes_its_mind_meanwhile_fails_before_the_copy(
    model, ollama, registry, monkeypatch
):
    from ansible_collections.edgellm.host.plugins.module_utils.ollama import registry as protocol

    old = registry.offer("x")
    model("x")
    registry.offer("x", weights="newer")
    fetch = protocol.fetch

    def fetch_then_change(*args, **kwargs):
        offer = fetch(*args, **kwargs)
        registry.offer("x", weights="newest")
        return offer

    monkeypatch.setattr(protocol, "fetch", fetch_then_change)
    result = model("x", state="latest", fails=True)
    assert "a moment before" in result["msg"]
    assert ollama.tags() == {"x:latest": old}


@pytest.mark.parametrize("state", ["present", "latest"])
def test_unknown_model_is_refused_by_name(model, ollama, state):
    result = model("no-such-model", state=state, fails=True)
    assert "no-such-model:latest (404)" in result["msg"]
    assert ollama.tags() == {}


@pytest.mark.parametrize(
    "params",
    [
        {"name": "bad name"},
        {"name": "https://hf.co/a/b"},
        {"name": "x", "registry": "x@sha256:1"},
        {"name": "x", "registry_mirror": "mirror"},
        {"name": "x", "digest": "123"},
        {"name": "x:cloud"},
        {"name": "x", "url": "localhost"},
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(model, traffic, params):
    model(**params, fails=True)
    assert traffic.lines() == []


def test_server_that_is_down_is_told_with_the_remedy(model, nobody):
    result = model("x", url=nobody, fails=True)
    assert f"Ollama does not answer at {nobody}" in result["msg"]
    assert "edgellm status" in result["msg"]


# --- what others got wrong: one test for each ----------------------------------------------------


def test_name_without_tag_is_the_one_the_server_lists_with_latest(model, ollama, registry):
    # Comparing raw names deletes and pulls such a model in every run.
    registry.offer("bge-m3")
    assert model("bge-m3")["changed"] is True
    assert list(ollama.tags()) == ["bge-m3:latest"]
    for name in ("bge-m3", "bge-m3:latest", "library/bge-m3", "BGE-M3"):
        assert model(name)["changed"] is False


def test_tagged_name_is_found_again(model, registry):
    # Stripping the tags of installed models makes one with a tag never match.
    registry.offer("qwen2.5:7b-instruct")
    model("qwen2.5:7b-instruct")
    assert model("qwen2.5:7b-instruct")["changed"] is False


def test_name_without_tag_is_not_satisfied_by_any_tag(model, ollama, registry):
    registry.offer("llama2:13b")
    registry.offer("llama2")
    model("llama2:13b")
    assert model("llama2")["changed"] is True
    assert set(ollama.tags()) == {"llama2:13b", "llama2:latest"}


def test_another_tag_of_the_same_model_is_not_enough(model, registry):
    # Comparing only what is before the colon never pulls the second one.
    registry.offer("qwen2.5:0.5b")
    registry.offer("qwen2.5:7b-instruct")
    model("qwen2.5:0.5b")
    assert model("qwen2.5:7b-instruct")["changed"] is True


def test_removing_a_model_leaves_the_one_whose_name_goes_on(model, ollama, registry):
    # An unanchored pattern confuses the two.
    for name in ("qwen2.5", "qwen2.5-coder", "qwen2.5:7b"):
        registry.offer(name)
        model(name)
    model("qwen2.5", state="absent")
    assert set(ollama.tags()) == {"qwen2.5-coder:latest", "qwen2.5:7b"}


def test_removing_an_absent_model_is_no_failure(model):
    assert model("x", state="absent")["changed"] is False


def test_change_is_judged_by_the_digest_though_no_line_said_pulling(model, ollama, registry):
    # All blobs are there already, so the server has nothing to tell but success.
    registry.offer("x")
    model("x")
    ollama.copy("x", "y")
    ollama.delete("x")
    result = model("x")
    assert result["changed"] is True
    assert result["plan"]["bytes_fetch"] == 0


def test_pull_that_changes_nothing_is_no_change_though_modified_at_moves(model, ollama, registry):
    registry.offer("x")
    model("x")
    ollama.pull("x", registry)
    assert model("x", state="latest")["changed"] is False


def test_models_of_nobodys_list_are_left_alone(model, ollama, registry):
    registry.offer("x")
    registry.offer("own")
    ollama.pull("own", registry, known_as="made-here")
    model("x", state="latest")
    model("x", state="absent")
    assert list(ollama.tags()) == ["made-here:latest"]


def test_update_pulls_before_the_old_one_goes(model, registry, traffic):
    # Deleting first means an outage, and a loss when the pull fails.
    registry.offer("x")
    model("x")
    registry.offer("x", weights="newer")
    traffic.clear()
    model("x", state="latest")
    sent = [(seen.line, seen.json) for seen in traffic.requests if seen.mutates]
    vehicle = f"{registry.url.removeprefix('http://')}/library/x:latest"
    assert sent == [
        ("POST /api/pull", {"model": vehicle, "insecure": True, "stream": True}),
        ("POST /api/copy", {"source": vehicle, "destination": "x:latest"}),
        ("DELETE /api/delete", {"model": vehicle}),
    ]


def test_change_made_by_somebody_else_is_seen(model, ollama, registry):
    # A digest that is only remembered, never read again, misses it.
    registry.offer("x")
    expected = registry.offer("x")
    model("x")
    registry.offer("z", weights="other")
    ollama.pull("z", registry, known_as="x")
    result = model("x", digest=expected)
    assert result["changed"] is True
    assert ollama.tags() == {"x:latest": expected}

# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of a registry whose versions matter: records, pins, kept versions, what upstream has."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.ollama.store import Disk


@pytest.fixture
def model(run_module, ollama, registry, tmp_path):
    """Run the module with a record, through the registry as its mirror."""

    def run(name="m", **params):
        given = {
            "url": ollama.url,
            "registry_mirror": registry.url,
            "timeout": 10,
            "record": str(tmp_path / "record.json"),
            "name": name,
            **params,
        }
        given = {option: value for option, value in given.items() if value is not None}
        return run_module("ollama_model", **given)

    return run


@pytest.fixture
def warned(monkeypatch):
    warnings = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    return warnings


def actions(result):
    return [action["action"] for action in result["plan"]["actions"]]


def recorded(tmp_path):
    return json.loads((tmp_path / "record.json").read_text())["digest"]


def edit(ollama, registry, name="m"):
    """Put something else under the name, as somebody would do by hand; gives its digest."""
    digest = registry.offer("by-hand", weights="by hand")
    ollama.pull("by-hand", registry, known_as=name)
    return digest


def test_model_that_is_there_is_adopted_and_recorded(model, ollama, registry, tmp_path):
    digest = registry.offer("m")
    ollama.pull("m", registry)
    result = model()
    assert (result["changed"], result["drift"]) == (False, None)
    assert recorded(tmp_path) == digest


def test_check_mode_records_nothing(model, ollama, registry, tmp_path):
    registry.offer("m")
    ollama.pull("m", registry)
    model(check_mode=True)
    assert not (tmp_path / "record.json").exists()


def test_change_by_hand_is_reported_and_left_without_a_pin(model, ollama, registry, warned):
    ours = registry.offer("m")
    model()
    theirs = edit(ollama, registry)
    for _run in range(2):
        result = model()
        assert result["changed"] is False
        assert result["drift"] == {"recorded": ours, "present": theirs}
        assert "was changed by somebody else" in warned.pop()
    assert ollama.tags() == {"m:latest": theirs}


@pytest.mark.parametrize("check_mode", [True, False])
def test_change_by_hand_is_kept_aside_and_the_pinned_one_put_back(
    model, ollama, registry, check_mode
):
    ours = registry.offer("m")
    model(digest=ours)
    theirs = edit(ollama, registry)
    result = model(digest=ours, check_mode=check_mode)
    assert actions(result) == ["snapshot", "pull", "copy", "delete"]
    kept = f"m:latest-prev-{theirs[:12]}"
    assert result["snapshot"] == kept
    assert result["drift"] == {"recorded": ours, "present": theirs}
    expected = {"m:latest": theirs} if check_mode else {"m:latest": ours, kept: theirs}
    assert ollama.tags() == expected
    assert model(digest=ours, check_mode=check_mode)["changed"] is check_mode


def test_model_nobody_recorded_is_kept_aside_when_another_is_pinned(model, ollama, registry):
    theirs = edit(ollama, registry)
    ours = registry.offer("m")
    assert model(digest=ours)["snapshot"] == f"m:latest-prev-{theirs[:12]}"


def test_pin_that_somebody_fulfilled_by_hand_is_agreed_to(model, ollama, registry, tmp_path):
    registry.offer("m")
    model()
    theirs = edit(ollama, registry)
    result = model(digest=theirs)
    assert (result["changed"], result["drift"]) == (False, None)
    assert recorded(tmp_path) == theirs


def test_latest_that_somebody_brought_by_hand_is_agreed_to(
    model, ollama, registry, tmp_path, warned
):
    registry.offer("m")
    model()
    second = registry.offer("m", weights="second")
    ollama.pull("m", registry)
    result = model(state="latest")
    assert (result["changed"], result["drift"], warned) == (False, None, [])
    assert recorded(tmp_path) == second


def test_own_update_keeps_nothing_unless_asked(model, ollama, registry, tmp_path):
    registry.offer("m")
    model()
    second = registry.offer("m", weights="second")
    assert model(state="latest")["snapshot"] is None
    assert recorded(tmp_path) == second
    third = registry.offer("m", weights="third")
    kept = f"m:latest-prev-{second[:12]}"
    assert model(state="latest", keep_previous=True)["snapshot"] == kept
    assert ollama.tags() == {"m:latest": third, kept: second}


def test_version_that_is_kept_already_is_not_kept_again(model, ollama, registry):
    first = registry.offer("m")
    model()
    ollama.copy("m", f"m:latest-prev-{first[:12]}")
    registry.offer("m", weights="second")
    assert actions(model(state="latest", keep_previous=True)) == ["pull", "copy", "delete"]


def test_tag_too_long_to_keep_versions_is_refused_before_anything(model, registry, traffic):
    tag = "t" * 80
    registry.offer(f"m:{tag}")
    model(f"m:{tag}")
    registry.offer(f"m:{tag}", weights="second")
    traffic.clear()
    refused = model(f"m:{tag}", state="latest", keep_previous=True, fails=True)
    assert "too long to keep versions" in refused["msg"]
    assert not any(seen.mutates for seen in traffic.requests)


def test_removed_model_is_forgotten(model, registry, tmp_path):
    registry.offer("m")
    model()
    model(state="absent")
    assert not (tmp_path / "record.json").exists()


@pytest.mark.parametrize("moved", [True, False])
def test_upstream_is_reported_and_never_taken(model, ollama, registry, moved):
    first = registry.offer("m")
    model()
    offered = registry.offer("m", weights="moved") if moved else first
    result = model(check_upstream=True)
    assert result["changed"] is False
    assert result["upstream"] == {"digest": offered, "differs": moved, "error": None}
    assert ollama.tags() == {"m:latest": first}


def test_silent_upstream_is_no_failure(model, registry, nobody):
    registry.offer("m")
    model()
    result = model(check_upstream=True, registry_mirror=nobody)
    assert result["upstream"]["digest"] is None
    assert result["upstream"]["differs"] is False
    assert "does not answer" in result["upstream"]["error"]


def test_what_the_disk_has_no_room_for_is_refused_before_anything(
    model, ollama, registry, traffic, monkeypatch
):
    registry.offer("m", padding=1000)
    needed = sum(registry.layers("m").values())
    package = "ansible_collections.edgellm.host.plugins.module_utils.ollama.store"
    monkeypatch.setattr(f"{package}.Store.disk", lambda _store: Disk(needed, needed - 1))
    result = model(store=str(ollama.store), fails=True)
    assert "GB free, but" in result["msg"]
    assert not any(seen.mutates for seen in traffic.requests)
    monkeypatch.setattr(f"{package}.Store.disk", lambda _store: Disk(needed, needed))
    assert model(store=str(ollama.store))["plan"]["bytes_disk"] == needed


def test_half_a_blob_in_the_store_is_reused_and_counted(model, ollama, registry):
    registry.offer("m", padding=100_000)
    blob = max(registry.layers("m"), key=registry.layers("m").get)
    size = registry.layers("m")[blob]
    name = blob.replace(":", "-")
    content = registry.blob(blob).read_bytes()
    half = 60_000
    (ollama.store / "blobs").mkdir(parents=True, exist_ok=True)
    (ollama.store / "blobs" / f"{name}-partial").write_bytes(content[:half] + bytes(size - half))
    journal = {"N": 0, "Offset": 0, "Size": size, "Completed": half}
    (ollama.store / "blobs" / f"{name}-partial-0").write_text(json.dumps(journal))
    result = model(store=str(ollama.store))
    assert result["plan"]["bytes_reuse"] == half
    assert result["plan"]["bytes_fetch"] == sum(registry.layers("m").values()) - half
    assert model()["changed"] is False


@pytest.mark.parametrize("option", ["template", "system", "license", "parameters", "adapters"])
def test_fields_of_a_creation_are_refused_for_a_pull(model, traffic, option):
    value = {"license": ["x"], "parameters": {"top_k": 1}, "adapters": ["/a.gguf"]}.get(option, "x")
    assert f"{option} changes what a model is" in model(fails=True, **{option: value})["msg"]
    assert traffic.lines() == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_version_that_is_kept_on_the_server_comes_back_without_a_registry(
    model, ollama, registry, traffic, check_mode, nobody
):
    first = registry.offer("m")
    model()
    second = registry.offer("m", weights="second")
    kept = model(state="latest", keep_previous=True)["snapshot"]
    traffic.clear()
    result = model(digest=first, registry_mirror=nobody, check_mode=check_mode)
    assert actions(result) == ["copy"]
    assert result["plan"]["bytes_fetch"] == 0
    assert traffic.lines("registry") == []
    now = second if check_mode else first
    assert ollama.tags() == {"m:latest": now, kept: first}
    if not check_mode:
        assert model(digest=first)["changed"] is False


def test_alias_with_the_pinned_digest_is_enough(model, ollama, registry, nobody):
    digest = registry.offer("m")
    ollama.pull("m", registry, known_as="also:1b")
    result = model(digest=digest, registry_mirror=nobody)
    assert actions(result) == ["copy"]
    assert ollama.tags() == {"m:latest": digest, "also:1b": digest}

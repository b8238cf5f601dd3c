# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against the stand-in and its store; decisions alone are in test_prune.py."""

from __future__ import annotations

import os
import shutil

import pytest
from ansible.module_utils.basic import AnsibleModule

ORPHAN, PARTIAL = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    return said


@pytest.fixture
def prune(run_module, ollama, warnings):
    """Prune this server and its store, whatever the age."""

    def run(**params):
        given = {"url": ollama.url, "store": str(ollama.store), "min_age": 0, **params}
        return run_module("ollama_model_prune", **given)

    return run


@pytest.fixture
def keep(prune):
    """Prune what is not in this list."""
    return lambda *names, **params: prune(unlisted=True, keep=list(names), **params)


@pytest.fixture
def install(ollama, registry):
    """Have models installed; the answer is their digests."""

    def install(*names):
        digests = {}
        for name in names:
            digests[name] = registry.offer(name, weights=name, padding=5000)
            ollama.pull(name, registry)
        return digests

    return install


def put(ollama, name, content=b"12345"):
    path = ollama.store / "blobs" / name.replace(":", "-")
    path.write_bytes(content)
    return path


def removed(result):
    return [model["name"] for model in result["plan"]["models"]]


def blobs(ollama):
    return {path.name for path in (ollama.store / "blobs").iterdir()}


def reasons(result):
    return {kept["name"]: kept["reason"] for kept in result["kept"]}


# --- blobs and partial downloads -----------------------------------------------------------------


def test_clean_store_is_left_as_it_is(prune, install, ollama, traffic):
    install("x")
    before = blobs(ollama)
    traffic.clear()
    result = prune()
    assert (result["changed"], result["plan"]["bytes_freed"], result["kept"]) == (False, 0, [])
    assert blobs(ollama) == before
    # Without models to remove, the server is not even asked.
    assert traffic.lines() == []


def test_orphans_go_and_what_a_model_needs_stays(prune, install, ollama):
    install("x", "y")
    before = blobs(ollama)
    put(ollama, ORPHAN)
    result = prune()
    assert result["changed"] is True
    assert blobs(ollama) == before
    assert result["plan"]["blobs"] == [
        {"digest": ORPHAN, "size": 5, "bytes_freed": 5, "linked": False, "needed_by": []}
    ]
    assert result["plan"]["bytes_freed"] == 5
    assert result["diff"]["before"]["blobs"] == [ORPHAN]
    assert result["diff"]["after"] == {"models": {}, "blobs": [], "partials": []}
    assert prune()["changed"] is False


def test_what_an_update_left_behind_is_an_orphan(prune, install, ollama, registry):
    install("x", "y")
    old = registry.layers("x")
    ollama.copy("y", "x")
    result = prune()
    assert {blob["digest"] for blob in result["plan"]["blobs"]} == set(old) - set(
        registry.layers("y")
    )
    assert prune()["changed"] is False


def test_hard_link_frees_nothing_and_the_other_name_stays(prune, ollama, tmp_path):
    path = put(ollama, ORPHAN)
    (tmp_path / "x.gguf").hardlink_to(path)
    result = prune()
    assert [(blob["linked"], blob["bytes_freed"]) for blob in result["plan"]["blobs"]] == [
        (True, 0)
    ]
    assert (result["changed"], result["plan"]["bytes_freed"]) == (True, 0)
    assert not path.exists()
    assert (tmp_path / "x.gguf").read_bytes() == b"12345"


def test_partial_downloads_go_with_their_journals(prune, install, ollama):
    install("x")
    before = blobs(ollama)
    partial = put(ollama, f"{PARTIAL}-partial", b"")
    with partial.open("wb") as file:
        file.truncate(100_000_000)
    put(ollama, f"{PARTIAL}-partial-0")
    put(ollama, "sha256-1234567890")
    result = prune()
    name = partial.name
    assert result["plan"]["partials"] == [
        {"digest": PARTIAL, "files": [name, f"{name}-0"], "bytes_freed": 5},
        {"digest": None, "files": ["sha256-1234567890"], "bytes_freed": 5},
    ]
    assert result["plan"]["bytes_freed"] == 10
    assert blobs(ollama) == before


@pytest.mark.parametrize("name", [ORPHAN, f"{PARTIAL}-partial-0", "sha256-1234567890"])
def test_what_may_be_under_way_stays(prune, ollama, name):
    path = put(ollama, name)
    os.utime(path, (0, 0))
    result = prune(min_age=3600)
    assert (result["changed"], path.exists()) == (False, True)
    (kept,) = result["kept"]
    assert "less than 3600 s ago (min_age)" in kept["reason"]


@pytest.mark.parametrize("option", ["orphans", "partials"])
def test_only_what_is_asked_for_goes(prune, ollama, option):
    paths = {"orphans": put(ollama, ORPHAN), "partials": put(ollama, "sha256-123")}
    assert prune(**{option: False})["changed"] is True
    assert [name for name, path in paths.items() if path.exists()] == [option]


def test_strange_files_and_links_are_never_touched(prune, ollama, tmp_path):
    outside = tmp_path / "precious"
    outside.write_text("weights")
    (ollama.store / "blobs" / ORPHAN.replace(":", "-")).symlink_to(outside)
    (ollama.store / "blobs" / f"{PARTIAL.replace(':', '-')}-partial").symlink_to(outside)
    put(ollama, ".keep")
    before = blobs(ollama)
    assert prune()["changed"] is False
    assert (blobs(ollama), outside.read_text()) == (before, "weights")


def test_nothing_is_removed_behind_a_link(prune, ollama, tmp_path):
    put(ollama, ORPHAN)
    (ollama.store / "blobs").rename(tmp_path / "elsewhere")
    (ollama.store / "blobs").symlink_to(tmp_path / "elsewhere")
    assert "is a symbolic link" in prune(fails=True)["msg"]
    assert len(blobs(ollama)) == 1


@pytest.mark.parametrize("raw", [b"", b'{"schemaVersion":2,'])
def test_broken_manifest_saves_all_blobs_and_is_named(prune, install, ollama, warnings, raw):
    install("x")
    broken = ollama.store / "manifests/registry.ollama.ai/library/x/latest"
    broken.write_bytes(raw)
    put(ollama, ORPHAN)
    put(ollama, "sha256-123")
    before = blobs(ollama)
    result = prune()
    assert blobs(ollama) == before - {"sha256-123"}
    assert result["plan"]["blobs"] == []
    assert str(broken) in reasons(result)["all"]
    (warning,) = warnings
    assert warning.startswith("No blob was removed: nobody knows which blobs are needed")


def test_models_stay_too_while_a_manifest_is_broken(keep, install, ollama):
    install("x", "y")
    broken = ollama.store / "manifests/registry.ollama.ai/library/z/latest"
    broken.parent.mkdir()
    broken.write_bytes(b"")
    result = keep("x")
    assert (result["changed"], set(ollama.tags())) == (False, {"x:latest", "y:latest"})
    assert set(reasons(result)) == {"all", "y:latest"}


def test_missing_manifests_save_all_blobs(prune, install, ollama):
    install("x")
    before = blobs(ollama)
    shutil.rmtree(ollama.store / "manifests")
    assert (prune()["changed"], blobs(ollama)) == (False, before)


def test_files_that_cannot_be_removed_are_a_clear_failure(prune, ollama, monkeypatch):
    put(ollama, ORPHAN)

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "unlink", refuse)
    message = prune(fails=True)["msg"]
    assert f"Files in {ollama.store}/blobs cannot be removed: Permission denied" in message
    assert "become" in message


# --- models that are not listed ------------------------------------------------------------------


def test_unlisted_models_go_with_what_only_they_need(keep, install, ollama, registry, traffic):
    digests = install("x", "y")
    own = set(registry.layers("y")) - set(registry.layers("x"))
    sizes = registry.layers("y")
    before = blobs(ollama)
    traffic.clear()
    result = keep("x")
    assert result["changed"] is True
    assert ollama.tags() == {"x:latest": digests["x"]}
    assert result["plan"]["models"] == [
        {
            "name": "y:latest",
            "full_name": "registry.ollama.ai/library/y:latest",
            "digest": digests["y"],
        }
    ]
    assert {blob["digest"] for blob in result["plan"]["blobs"]} == own
    assert result["plan"]["blobs"][0]["needed_by"] == ["y:latest"]
    assert result["plan"]["bytes_freed"] == sum(sizes[digest] for digest in own)
    assert before - blobs(ollama) == {digest.replace(":", "-") for digest in own}
    assert [seen.line for seen in traffic.requests if seen.mutates] == ["DELETE /api/delete"]
    assert keep("x")["changed"] is False


def test_models_stay_unless_it_is_asked_for(prune, install, ollama):
    install("x", "y")
    assert prune(keep=["x"])["changed"] is False
    assert set(ollama.tags()) == {"x:latest", "y:latest"}


def test_loaded_model_is_taken_out_of_memory(keep, install, run_module, ollama):
    install("x", "y")
    run_module("ollama_probe", url=ollama.url, name="y")
    keep("x")
    assert (ollama.engine.closed, set(ollama.tags())) == (1, {"x:latest"})


def test_kept_model_that_is_loaded_stays_loaded(keep, install, run_module, ollama):
    install("x", "y")
    run_module("ollama_probe", url=ollama.url, name="x")
    keep("x")
    assert ollama.engine.closed == 0


def test_empty_server_has_nothing_to_remove(keep):
    assert keep("x")["changed"] is False


def test_other_names_and_snapshots_of_a_kept_model_stay(keep, install, ollama):
    digests = install("x", "y")
    prev, deep = f"x:latest-prev-{'1' * 12}", f"x:latest-prev-{'1' * 12}-next-{'2' * 12}"
    for source, name in (("x", "assistant"), ("y", prev), ("y", deep)):
        ollama.copy(source, name)
    result = keep("x")
    assert removed(result) == ["y:latest"]
    assert set(ollama.tags()) == {"x:latest", "assistant:latest", prev, deep}
    assert reasons(result) == {
        "assistant:latest": "it is the same model as x:latest, which is kept",
        prev: "it is a version of x:latest, which is kept (unless snapshots=true)",
        deep: "it is a version of x:latest, which is kept (unless snapshots=true)",
    }
    # The snapshots need the blobs of y.
    assert result["plan"]["blobs"] == []
    assert digests["y"] in ollama.tags().values()


def test_snapshots_go_when_asked_for_and_with_their_model(keep, install, ollama):
    install("x", "y")
    for source, name in (("y", f"x:latest-prev-{'1' * 12}"), ("x", f"x:latest-next-{'2' * 12}")):
        ollama.copy(source, name)
    ollama.copy("y", f"y:latest-prev-{'3' * 12}")
    assert removed(keep("x")) == ["y:latest", f"y:latest-prev-{'3' * 12}"]
    result = keep("x", snapshots=True)
    assert removed(result) == [f"x:latest-next-{'2' * 12}", f"x:latest-prev-{'1' * 12}"]
    assert set(ollama.tags()) == {"x:latest"}


def test_without_the_store_the_bytes_are_not_known(keep, install, ollama):
    install("x", "y")
    blind = {"store": None, "orphans": False, "partials": False}
    predicted = keep("x", check_mode=True, **blind)
    result = keep("x", **blind)
    assert removed(predicted) == removed(result) == ["y:latest"]
    assert (result["plan"]["blobs"], result["plan"]["bytes_freed"]) == ([], None)
    assert keep("x", **blind)["plan"]["bytes_freed"] == 0


def test_store_of_another_server_is_refused(keep, install, ollama, tmp_path):
    install("x", "y")
    for folder in ("blobs", "manifests"):
        (tmp_path / "other" / folder).mkdir(parents=True)
    message = keep("x", store=str(tmp_path / "other"), fails=True)["msg"]
    assert "The server has y:latest, but the folder in store does not" in message
    assert set(ollama.tags()) == {"x:latest", "y:latest"}


# --- what cannot be asked for --------------------------------------------------------------------


@pytest.mark.parametrize("option", ["orphans", "partials"])
def test_store_is_required_for_files(run_module, option):
    others = {"orphans": False, "partials": False, option: True}
    assert "store" in run_module("ollama_model_prune", fails=True, **others)["msg"]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"min_age": -1}, "min_age -1 must not be negative"),
        ({"unlisted": True, "keep": ["a b"]}, "Invalid model name"),
    ],
)
def test_what_makes_no_sense_is_refused(prune, params, complaint):
    assert complaint in prune(fails=True, **params)["msg"]


def test_folder_that_is_no_store_is_refused(prune, tmp_path):
    assert "is not a store of Ollama" in prune(store=str(tmp_path), fails=True)["msg"]


# --- check mode ----------------------------------------------------------------------------------


def test_check_mode_predicts_exactly_and_touches_nothing(keep, install, ollama, tmp_path):
    install("x", "y")
    put(ollama, ORPHAN)
    put(ollama, "sha256-123")
    (tmp_path / "link").hardlink_to(put(ollama, "sha256:" + "c" * 64, b"1" * 5000))
    ollama.copy("x", "alias")
    files, tags = blobs(ollama), ollama.tags()
    predicted = keep("x", check_mode=True)
    assert (blobs(ollama), ollama.tags()) == (files, tags)
    actual = keep("x")
    for key in ("changed", "diff", "plan", "kept"):
        assert predicted[key] == actual[key]

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.plugin_utils import deployed

OLD, NEW = "1" * 64, "2" * 64
GGUF = {"repo": "o/r", "file": "m.gguf", "url": None, "revision": "main", "sha256": None,
        "size": None}  # fmt: skip
RECORDED = {
    "spec": "5" * 64,
    "digest": NEW,
    "gguf_sha256": "a" * 64,
    "base_digest": "",
    "server_version": "0.32.15",
    "way": "link",
}


def spec(name="bge-m3", *, lock=None, folder=None, **source):
    said = {"registry": None, "gguf": None, "from": None, "digest": None, **source}
    return {"name": name, "folder": folder, "source": said, "lock": lock}


def result(item, digest=NEW, **told):
    return {"item": item, "model": {"name": item["name"], "digest": digest}, **told}


def answered(item, digest=NEW):
    return {"item": item, "probe": {"digest": digest}}


REGISTRY = spec(registry="bge-m3")
FILE = spec("elyza", gguf=GGUF)
BASED = spec("kind", **{"from": "bge-m3"})


def test_models_on_a_base_move_with_it():
    more = spec("kinder", **{"from": "kind:latest"})
    specs = [REGISTRY, FILE, BASED, more]
    assert deployed.to_move(specs, "BGE-M3") == [REGISTRY, BASED, more]
    assert deployed.to_move(specs, "kind") == [BASED, more]


# --- the lock ------------------------------------------------------------------------------------


def test_registry_model_that_answered_is_told_with_its_manifest():
    found = deployed.lock_entries(
        [result(REGISTRY)],
        probes=[answered(REGISTRY)],
        installed=[{"name": "bge-m3:latest", "digest": NEW, "manifest": "{}"}],
        host="box1",
    )
    entry = {"name": "bge-m3", "host": "box1", "digest": NEW, "registry": "bge-m3"}
    assert found == [{**entry, "manifest": "{}"}]


@pytest.mark.parametrize(
    ("probes", "installed"),
    [
        ([], [{"name": "bge-m3", "digest": NEW, "manifest": "{}"}]),
        ([{"item": REGISTRY, "failed": True}], [{"name": "x", "digest": NEW, "manifest": "{}"}]),
        ([answered(REGISTRY, OLD)], [{"name": "x", "digest": NEW, "manifest": "{}"}]),
        ([answered(REGISTRY)], []),
        ([answered(REGISTRY)], [{"name": "x", "digest": NEW, "manifest": None}]),
    ],
)
def test_what_is_not_proven_or_could_not_be_rebuilt_is_not_told(probes, installed):
    assert deployed.lock_entries([result(REGISTRY)], probes=probes, installed=installed) == []


def test_locked_registry_model_is_told_only_when_it_is_to_move():
    item = spec(registry="bge-m3", lock={"digest": OLD})
    known = {
        "probes": [answered(item)],
        "installed": [{"name": "bge-m3", "digest": NEW, "manifest": "{}"}],
    }
    assert deployed.lock_entries([result(item)], **known) == []
    assert len(deployed.lock_entries([result(item)], **known, update="bge-m3:latest")) == 1


def test_linked_file_is_told_with_its_source_and_without_a_version():
    file = {"item": FILE, "commit": "c" * 40, "sha256": "a" * 64, "size": 7}
    (entry,) = deployed.lock_entries(
        [{**result(FILE), "recorded": RECORDED}],
        files=[{**file, "item": FILE, "name": "elyza"}],
        probes=[answered(FILE)],
    )
    assert entry == {
        "name": "elyza",
        "host": "",
        "digest": NEW,
        "spec": "5" * 64,
        "import_method": "link",
        "gguf": {"repo": "o/r", "file": "m.gguf", "commit": "c" * 40, "sha256": "a" * 64,
                 "size": 7},
    }  # fmt: skip


def test_uploaded_model_and_one_on_a_base_are_told_with_the_version():
    recorded = {**RECORDED, "way": "", "base_digest": OLD}
    (entry,) = deployed.lock_entries(
        [{**result(BASED), "recorded": recorded}], probes=[answered(BASED)]
    )
    assert entry["from"] == {"name": "bge-m3", "digest": OLD}
    assert (entry["import_method"], entry["server_version"]) == ("api", "0.32.15")


@pytest.mark.parametrize(
    ("update", "moves"),
    [
        ([], False),
        ("", False),
        (["all"], True),
        ("all", True),
        ("bge-m3:latest, x", True),
        ("BGE-M3", True),
        (["x"], False),
        ("folder", True),
        ("bge-m3:7b", False),
    ],
)
def test_names_are_compared_as_the_server_does(update, moves):
    assert deployed.is_to_move(spec(folder="folder", registry="bge-m3"), update) is moves


@pytest.mark.parametrize(
    ("update", "unknown"),
    [
        ("all", []),
        ("bge-m3,typo", ["typo"]),
        (["BGE-M3:latest", "folder"], []),
        ([], []),
        ("bge-m3:7b", ["bge-m3:7b"]),
    ],
)
def test_name_that_no_model_has_is_noticed(update, unknown):
    assert deployed.unknown([spec(folder="folder", registry="bge-m3")], update) == unknown


# --- notes ---------------------------------------------------------------------------------------


def test_what_is_as_wanted_needs_no_words():
    told = {"drift": None, "snapshot": None, "upstream": None, "import_reason": None}
    assert deployed.notes([result(REGISTRY, **told)], [{"name": "bge-m3:latest"}]) == []


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"drift": {"recorded": OLD, "present": NEW}}, "was changed by somebody else"),
        ({"snapshot": "bge-m3:latest-prev-111111111111"}, "kept as bge-m3:latest-prev-1111"),
        ({"upstream": {"digest": NEW, "differs": True}}, "another version now (222222222222)"),
        ({"import_reason": "It has no TEMPLATE."}, "bge-m3: It has no TEMPLATE."),
    ],
)
def test_what_nobody_asked_for_is_said(told, said):
    (note,) = deployed.notes([result(REGISTRY, **told)])
    assert said in note


def test_models_nobody_asked_for_are_listed_but_not_bases_and_kept_versions():
    there = [
        "bge-m3:latest",
        "kind:latest-prev-111111111111",
        "own:7b",
        "other:x-prev-111111111111",
    ]
    found = [{"name": name} for name in there]
    (note,) = deployed.notes([result(BASED)], found)
    assert note == "Not in ollama_models_list, left alone: other:x-prev-111111111111, own:7b."

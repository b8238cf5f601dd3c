# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock after a deployment, after somebody's change on the host, and after a wanted one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import yaml

testinfra_hosts = ["ansible://box1"]

WORK = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
WEIGHTS = "/srv/edgellm/models/linked/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def entries(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["models"]


@pytest.fixture
def lock() -> dict:
    return entries(WORK / "models" / "models.lock.yml")


@pytest.fixture
def tags(api) -> dict[str, str]:
    return {model["name"]: model["digest"] for model in api("/api/tags")["models"]}


def test_lock_says_what_is_served(lock, tags):
    assert list(lock) == ["kind:latest", "linked:latest", "smollm2-embed:135m"]
    assert lock["smollm2-embed:135m"]["digest"] == tags["smollm2-embed:135m"]
    assert lock["linked:latest"]["digests"] == {"link": tags["linked:latest"]}
    assert tags["kind:latest"] in lock["kind:latest"]["digests"].values()


def test_registry_models_manifest_is_kept_to_the_letter(lock):
    digest = lock["smollm2-embed:135m"]["digest"]
    kept = WORK / "models" / "manifests" / f"sha256-{digest}.json"
    assert hashlib.sha256(kept.read_bytes()).hexdigest() == digest
    assert len(list(kept.parent.iterdir())) == 1


def test_file_is_locked_by_its_hash_and_commit_and_its_digest_holds_everywhere(lock):
    file = lock["linked:latest"]["gguf"]
    assert file["sha256"] == SHA256
    assert len(file["commit"]) == 40
    assert list(lock["linked:latest"]["digests"]) == ["link"]


def test_linked_file_is_in_the_store_under_a_second_name_and_nothing_else(host):
    blob = f"/srv/edgellm/data/models/blobs/sha256-{SHA256}"
    inodes = host.check_output("stat --format %%i %s %s", WEIGHTS, blob).split()
    assert len(set(inodes)) == 1


def test_model_on_a_base_names_the_bases_digest(lock):
    base = lock["kind:latest"]["from"]
    assert base["name"] == "registry.ollama.ai/library/linked:latest"
    assert base["digest"] == lock["linked:latest"]["digests"]["link"]


def test_what_somebody_made_by_hand_is_kept_aside(api, tags):
    (kept,) = [name for name in tags if "-prev-" in name]
    assert kept == f"smollm2-embed:135m-prev-{tags[kept][:12]}"
    assert api("/api/show", {"model": kept})["system"] == "Be rude."
    assert api("/api/show", {"model": "smollm2-embed:135m"}).get("system") != "Be rude."


def test_only_the_entry_that_was_to_move_has_moved(lock, api):
    before = entries(WORK / "before.lock.yml")
    assert before["kind:latest"]["spec"] != lock["kind:latest"]["spec"]
    assert {name: entry for name, entry in before.items() if name != "kind:latest"} == {
        name: entry for name, entry in lock.items() if name != "kind:latest"
    }
    assert "0.6" in api("/api/show", {"model": "kind"})["parameters"]

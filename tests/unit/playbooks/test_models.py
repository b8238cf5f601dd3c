# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/models.yml over local connections: what the hosts get, and what the lock is told."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


class Hosts:
    """Hosts that share one server, each with a list of models of its own."""

    def __init__(self, folder: Path, url: str, mirror: str, store: Path) -> None:
        self.folder = folder
        self.models = folder / "models"
        self.lists = {"box1": ["bge-m3"], "box2": ["bge-m3"]}
        (folder / "inventory").mkdir()
        state = str(folder / "state")
        (folder / "state").mkdir()
        self.vars = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "preflight_host": {
                "packages": {"python3-httpx": "0"},
                "docker": {"containers": {"ollama": {"state": "running"}}},
                "paths": {state: {"exists": True}},
            },
            "preflight_gpu": {"gpus": []},
            "ollama_models_url": url,
            "ollama_models_registry_mirror": mirror,
            "ollama_models_store": str(store),
            "ollama_models_state_dir": state,
            "ollama_models_files_dir": str(folder / "files"),
        }

    def play(self, *options: str, fails: bool = False, **extra: object) -> str:
        """Run the playbook; what it said."""
        hosts = {name: {"ollama_models_list": models} for name, models in self.lists.items()}
        group = {"llm_hosts": {"hosts": hosts, "vars": self.vars}}
        inventory = self.folder / "inventory" / "hosts.yml"
        inventory.write_text(yaml.safe_dump(group))
        command = ["ansible-playbook", "-i", str(inventory), "playbooks/models.yml", *options]
        done = subprocess.run(
            [*command, "--extra-vars", json.dumps(extra)],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if "ANSIBLE" not in name},
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout

    @property
    def locked(self) -> dict[str, dict]:
        path = self.models / "models.lock.yml"
        return yaml.safe_load(path.read_text())["models"] if path.exists() else {}


@pytest.fixture
def hosts(tmp_path, ollama, registry):
    registry.offer("bge-m3", embeds=True)
    return Hosts(tmp_path, ollama.url, registry.url, ollama.store)


def test_limit_to_some_hosts_adds_to_the_lock_but_moves_nothing(hosts, ollama, registry):
    hosts.play("--limit=box2")
    assert hosts.locked["bge-m3:latest"]["digest"] == ollama.tags()["bge-m3:latest"]
    old = hosts.locked
    new = registry.offer("bge-m3", embeds=True, weights="new")
    said = hosts.play("--limit=box2", models_update="bge-m3")
    assert hosts.locked == old
    assert new in said
    hosts.play(models_update="bge-m3")
    assert hosts.locked["bge-m3:latest"]["digest"] == new


@pytest.mark.parametrize("lacks", [{"ollama_models_probe": False}, {"ollama_models_store": ""}])
def test_version_that_could_not_be_locked_is_not_taken(hosts, ollama, registry, lacks):
    hosts.play("--limit=box1")
    old = ollama.tags()
    registry.offer("bge-m3", embeds=True, weights="new")
    said = hosts.play(models_update="all", fails=True, **lacks)
    assert "models_update cannot move bge-m3: " in " ".join(said.split())
    assert ollama.tags() == old
    hosts.play("--limit=box1", **lacks)


def test_missing_base_is_the_locked_one(hosts, ollama, registry):
    hosts.lists = {"box1": ["kind"]}
    base = registry.offer("base:1b")
    folder = hosts.models / "kind"
    folder.mkdir(parents=True)
    (folder / "model.yml").write_text("source: {from: 'base:1b'}\nmodelfile: Modelfile\n")
    (folder / "Modelfile").write_text("FROM base:1b\nSYSTEM Be kind.\n")
    hosts.play()
    assert hosts.locked["kind:latest"]["from"]["digest"] == base
    for name in ollama.tags():
        ollama.delete(name)
    new = registry.offer("base:1b", weights="new")
    assert new in hosts.play(fails=True)
    assert ollama.tags() == {}
    hosts.play(models_update="kind")
    assert hosts.locked["kind:latest"]["from"]["digest"] == ollama.tags()["base:1b"] == new


def test_bare_host_is_refused_what_is_no_longer_to_be_had_as_it_is_locked(hosts, registry):
    hosts.play("--limit=box1")
    old = hosts.locked["bge-m3:latest"]["digest"]
    new = registry.offer("bge-m3", embeds=True, weights="new")
    hosts.vars["preflight_host"]["packages"]["python3-httpx"] = None
    said = " ".join(hosts.play("--check", fails=True).split())
    assert f"bge-m3 is expected with the digest {old}, but the registry offers {new}" in said
    hosts.play("--check", models_update="bge-m3")


def test_import_method_of_the_hosts_is_not_asked_of_a_registrys_models(hosts, ollama):
    hosts.play("--limit=box1", ollama_models_import_method="link")
    assert list(ollama.tags()) == ["bge-m3:latest"]


def test_misspelt_name_is_refused_and_the_others_are_done(hosts, registry):
    hosts.lists = {"box1": ["bge-m3"]}
    hosts.play()
    new = registry.offer("bge-m3", embeds=True, weights="new")
    said = " ".join(hosts.play(models_update="bge-m3,bge-m4", fails=True).split())
    assert "models_update names bge-m4, which no host of this run serves" in said
    assert hosts.locked["bge-m3:latest"]["digest"] == new

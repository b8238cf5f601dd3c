# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin in real plays: hosts at once, check mode, what is told and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[4]
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "layers": [],
        "config": {"mediaType": "x", "digest": f"sha256:{'a' * 64}", "size": 7},
        # What a template would be, had somebody handed it on as one.
        "note": "{{ never }} 日本語",
    },
    ensure_ascii=False,
)
BGE = {
    "name": "bge-m3",
    "registry": "bge-m3",
    "digest": hashlib.sha256(MANIFEST.encode()).hexdigest(),
}


@pytest.fixture
def play(tmp_path):
    """Run the module on hosts, each with its entries; the answer is each one's result."""

    def play(hosts, *options, fails=False, **arguments):
        inventory = tmp_path / "hosts.json"
        known = {name: {"mine": entries} for name, entries in hosts.items()}
        inventory.write_text(json.dumps({"all": {"hosts": known}}))
        # What a module returned: no template of ours.
        read = "{{ lookup('ansible.builtin.file', '%s') }}" % (tmp_path / "manifest")
        (tmp_path / "manifest").write_text(MANIFEST, encoding="utf-8")
        entries = "{{ mine | map('combine', {'host': inventory_hostname, 'manifest': manifest}) }}"
        tasks = [
            {"ansible.builtin.set_fact": {"manifest": read}},
            {
                "edgellm.host.models_lock": {
                    "dir": str(tmp_path / "models"),
                    "entries": entries,
                    **arguments,
                },
                "register": "done",
            },
            {
                "ansible.builtin.copy": {
                    "content": "{{ done | to_json }}",
                    "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}.json",
                },
                "check_mode": False,
                "connection": "local",
                "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            },
        ]
        book = [{"name": "T", "hosts": "all", "gather_facts": False, "tasks": tasks}]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(book))
        env = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
        done = subprocess.run(
            ["ansible-playbook", "-i", str(inventory), *options, str(tmp_path / "play.yml")],
            cwd=ROOT,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        if fails:
            return done.stdout + done.stderr
        return {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in hosts}

    return play


def test_hosts_at_once_are_all_there(play, tmp_path):
    hosts = {
        name: [BGE, {**BGE, "name": f"{name}-only", "registry": f"{name}-only"}]
        for name in ("box1", "box2", "box3")
    }
    told = play(hosts)
    said = yaml.safe_load((tmp_path / "models/models.lock.yml").read_text())
    alone = [f"{name}-only:latest" for name in hosts]
    assert list(said["models"]) == ["bge-m3:latest", *alone]
    # None was asked: there are no such machines.
    assert [result["drift"] for result in told.values()] == [[], [], []]
    assert sorted(name for result in told.values() for name in result["added"]) == sorted(
        ["bge-m3:latest", *alone]
    )
    manifest = tmp_path / f"models/manifests/sha256-{BGE['digest']}.json"
    assert manifest.read_bytes() == MANIFEST.encode()


def test_check_mode_shows_the_diff_and_writes_nothing(play, tmp_path):
    foreseen = play({"box1": [BGE]}, "--check", "--diff")["box1"]
    assert not (tmp_path / "models").exists()
    done = play({"box1": [BGE]}, "--diff")["box1"]
    assert foreseen == done
    assert (done["changed"], done["added"]) == (True, ["bge-m3:latest"])
    assert done["diff"][0]["after"] == Path(done["path"]).read_text(encoding="utf-8")
    again = play({"box1": [BGE]})["box1"]
    assert (again["changed"], again["unchanged"]) == (False, ["bge-m3:latest"])


def test_only_what_is_named_is_replaced(play):
    play({"box1": [{**BGE, "registry": "bge-other"}]})
    (drift,) = play({"box1": [BGE]})["box1"]["drift"]
    assert (drift["host"], drift["name"], drift["what"]) == ("box1", "bge-m3:latest", "source")
    assert drift["found"] in drift["message"]
    assert play({"box1": [BGE]}, update=["bge-m3"])["box1"]["replaced"] == ["bge-m3:latest"]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({**BGE, "digest": "b" * 64}, "The manifest is needed to the letter."),
        ({**BGE, "wish": 1}, "wish"),
        ({"name": "x"}, "digest"),
    ],
)
def test_entry_that_cannot_be_right_fails(play, tmp_path, entry, complaint):
    said = play({"box1": [entry]}, fails=True)
    assert complaint in " ".join(said.split())
    assert not (tmp_path / "models").exists()

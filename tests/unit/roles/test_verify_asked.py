# SPDX-License-Identifier: GPL-3.0-or-later
"""Which model `verify` asks to see whether it computes on the GPU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROLE = Path(__file__).resolve().parents[3] / "roles/verify"
BGE, GEMMA, QWEN = "bge-m3:latest", "gemma3:4b", "qwen2.5:7b-instruct"
SIZES = {BGE: 1, GEMMA: 3, QWEN: 5}
KINDS = {BGE: "embed", GEMMA: "chat", QWEN: "chat"}
#: name: what is installed, what of it has answered before, what is loaded, what is asked.
CASES = {
    "the smallest that speaks": ([QWEN, GEMMA, BGE], [QWEN, GEMMA, BGE], [], GEMMA),
    "the one in memory": ([QWEN, GEMMA], [QWEN, GEMMA], [QWEN], QWEN),
    "only embeddings": ([BGE], [BGE], [], BGE),
    "none was asked before": ([QWEN, GEMMA], [], [], GEMMA),
    "none at all": ([], [], [], None),
}
PLAY = """
- hosts: box
  gather_facts: false
  vars: {{ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
  vars_files: [{role}/vars/main.yml]
  tasks:
    - ansible.builtin.set_fact:
        asked: "{{{{ asked | default([]) + [__verify_asked.name | default(none)] }}}}"
      loop: "{{{{ cases }}}}"
      vars:
        __verify_models: {{models: "{{{{ item.installed }}}}"}}
        __verify_probes: {{results: "{{{{ item.answered }}}}"}}
        __verify_server: {{running: "{{{{ item.loaded }}}}"}}
    - ansible.builtin.copy:
        content: "{{{{ asked | to_json }}}}"
        dest: "{folder}/asked.json"
        mode: "0600"
"""


def case(installed, answered, loaded, _asked):
    probes = [{"probe": {"digest": f"sha256:{name}", "kind": KINDS[name]}} for name in answered]
    return {
        "installed": [model(name) for name in installed],
        # One that failed has no answer.
        "answered": [*probes, {"msg": "it is not there"}],
        "loaded": [model(name) for name in loaded],
    }


def model(name):
    return {"name": name, "digest": f"sha256:{name}", "size": SIZES[name]}


@pytest.fixture(scope="module")
def asked(tmp_path_factory, run_play):
    folder = tmp_path_factory.mktemp("asked")
    (folder / "play.yml").write_text(PLAY.format(role=ROLE, folder=folder))
    cases = [case(*said) for said in CASES.values()]
    run_play(folder, cases)
    return dict(zip(CASES, json.loads((folder / "asked.json").read_text()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_model_that_is_asked(asked, name):
    assert asked[name] == CASES[name][3]

# SPDX-License-Identifier: GPL-3.0-or-later
"""From where else a GGUF file may come, and what room its import takes, as the role says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROLE = Path(__file__).resolve().parents[3] / "roles/ollama_models"
REPO = {"repo": "o/r", "file": "sub/m 1.gguf"}
BASES = ["http://192.0.2.1:8080/hf/", "http://192.0.2.2"]
OWN = ["http://192.0.2.3/m.gguf"]
TEXT = "FROM m.gguf\ntemplate x\nPARAMETER stop y\n"
#: name: the model, the variables of the role; the mirrors, the copies.
CASES = {
    "nothing said": ({}, {}, [], 2),
    "mirrors of the hub": (
        {},
        {"gguf_mirrors": BASES},
        [f"{base.rstrip('/')}/o/r/resolve/main/sub/m%201.gguf" for base in BASES],
        2,
    ),
    "a revision with a slash": (
        {"source": {"gguf": {**REPO, "revision": "a/b"}}},
        {"gguf_mirrors": BASES[1:]},
        [f"{BASES[1]}/o/r/resolve/a%2Fb/sub/m%201.gguf"],
        2,
    ),
    "a locked commit": (
        {"lock": {"gguf": {"commit": "0123"}}},
        {"gguf_mirrors": BASES[1:]},
        [f"{BASES[1]}/o/r/resolve/0123/sub/m%201.gguf"],
        2,
    ),
    "an address of its own": (
        {"source": {"gguf": {"repo": None, "url": "http://x/m.gguf", "file": "m.gguf"}}},
        {"gguf_mirrors": BASES},
        [],
        2,
    ),
    "mirrors of its own come first": (
        {"source": {"gguf": {**REPO, "mirrors": OWN}}},
        {"gguf_mirrors": BASES[1:]},
        [*OWN, f"{BASES[1]}/o/r/resolve/main/sub/m%201.gguf"],
        2,
    ),
    "a link": ({"import_method": "link"}, {}, [], 0),
    "links in general": ({}, {"import_method": "link"}, [], 0),
    "an upload in spite of it": ({"import_method": "api"}, {"import_method": "link"}, [], 2),
    "as good as a link": ({"modelfile": TEXT}, {}, [], 0),
    "no store to link into": ({"modelfile": TEXT}, {"store": ""}, [], 2),
    "no stop words": ({"modelfile": "FROM m.gguf\nTEMPLATE x\n"}, {}, [], 2),
    "no template": ({"modelfile": "FROM m.gguf\nPARAMETER stop x\n"}, {}, [], 2),
    "an upload although it could be linked": (
        {"modelfile": TEXT},
        {"import_method": "api"},
        [],
        2,
    ),
}
PLAY = """
- hosts: box
  gather_facts: false
  vars: {{ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
  vars_files: [{role}/vars/main.yml]
  tasks:
    - ansible.builtin.set_fact:
        said: "{{{{ said | default([]) + [[__ollama_models_gguf_mirrors, copies]] }}}}"
      loop: "{{{{ cases }}}}"
      vars:
        copies: "{{{{ __ollama_models_import_copies }}}}"
        __ollama_models_moving: []
        ollama_models_gguf_mirrors: "{{{{ item.vars.gguf_mirrors }}}}"
        ollama_models_import_method: "{{{{ item.vars.import_method }}}}"
        ollama_models_store: "{{{{ item.vars.store }}}}"
    - ansible.builtin.copy:
        content: "{{{{ said | to_json }}}}"
        dest: "{folder}/said.json"
        mode: "0600"
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory, run_play):
    folder = tmp_path_factory.mktemp("gguf")
    (folder / "play.yml").write_text(PLAY.format(role=ROLE, folder=folder))
    usual = {"gguf_mirrors": [], "import_method": "auto", "store": "/srv/store"}
    model = {"name": "m", "source": {"gguf": REPO}, "modelfile": None, "import_method": None}
    cases = [
        {**model, "lock": None, **spec, "vars": {**usual, **variables}}
        for spec, variables, _mirrors, _copies in CASES.values()
    ]
    run_play(folder, cases)
    return dict(zip(CASES, json.loads((folder / "said.json").read_text()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_mirrors_and_room_are_those_of_the_model(said, name):
    mirrors, copies = said[name]
    assert (mirrors, int(copies)) == CASES[name][2:]

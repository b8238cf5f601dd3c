# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ollama_server refuses before it changes anything, in its own words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROLE = Path(__file__).resolve().parents[3] / "roles/ollama_server"
GPU = "GPU-11111111-1111-1111-1111-111111111111"
MIG = "MIG-22222222-2222-2222-2222-222222222222"
#: name: what differs from a healthy host with one GPU, and what is said; None: nothing is refused.
CASES = {
    "healthy": ({}, None),
    "an instance of a GPU": ({"gpus": [MIG]}, None),
    "a GPU of another host": ({"gpus": ["GPU-3"]}, "GPU-3, which box does not have"),
    "a GPU and an instance": ({"gpus": ["GPU-3", MIG]}, "names GPU-3, which"),
    "no specification": ({"cdi": {"present": False}}, "no CDI specification, /run/cdi/n.yaml. The"),
    "one of the user's own": ({"cdi": {"present": False, "strays": ["/etc/cdi/n.yaml"]}}, None),
    "a GPU without a name": (
        {"cdi": {"devices": ["all"]}, "gpus": [GPU]},
        f"/run/cdi/n.yaml lacks {GPU}. The role",
    ),
    "CDI off": ({"engine": {"cdi_spec_dirs": []}}, "CDI is off in Docker Engine: daemon.json"),
    "CDI off, not used": ({"engine": {"cdi_spec_dirs": []}, "gpus": []}, None),
    "no runtime": ({"engine": {"version": "25.0.5"}}, "Docker Engine has no runtime nvidia. The"),
    "runtime": ({"engine": {"version": "25.0.5", "runtimes": ["nvidia", "runc"]}}, None),
    "no engine yet": ({"engine": {"running": False, "cdi_spec_dirs": []}}, None),
}
PLAY = """
- hosts: box
  gather_facts: false
  vars: {{ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
  vars_files: [{role}/defaults/main.yml, {role}/vars/main.yml]
  tasks:
    - ansible.builtin.include_tasks: case.yml
      loop: "{{{{ cases }}}}"
    - ansible.builtin.copy:
        content: "{{{{ said | to_json }}}}"
        dest: "{folder}/said.json"
        mode: "0600"
"""
CASE = """
- vars:
    preflight_gpu:
      gpus: [{{uuid: {gpu}}}]
      cdi: "{{{{ specification | combine(item.cdi | default({{}})) }}}}"
    preflight_host:
      docker: "{{{{ engine | combine(item.engine | default({{}})) }}}}"
      paths: {{}}
    specification:
      {{path: /run/cdi/n.yaml, present: true, strays: [], devices: [{gpu}, {mig}, all]}}
    engine: {{version: 29.7.2, running: true, runtimes: [runc], cdi_spec_dirs: [/etc/cdi]}}
    ollama_server_gpus: "{{{{ item.gpus | default('all') }}}}"
  block:
    - ansible.builtin.import_tasks: {role}/tasks/preflight.yml
    - ansible.builtin.set_fact:
        said: "{{{{ said | default([]) + [none] }}}}"
  rescue:
    - ansible.builtin.set_fact:
        said: "{{{{ said | default([]) + [ansible_failed_result.msg] }}}}"
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory, run_play):
    """What each case is told, out of one run."""
    folder = tmp_path_factory.mktemp("refusals")
    (folder / "play.yml").write_text(PLAY.format(role=ROLE, folder=folder))
    (folder / "case.yml").write_text(CASE.format(role=ROLE, gpu=GPU, mig=MIG))
    cases = [different for different, _told in CASES.values()]
    run_play(folder, cases)
    return dict(zip(CASES, json.loads((folder / "said.json").read_text()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_work_is_refused(said, name):
    told = CASES[name][1]
    assert (said[name] is None) == (told is None)
    assert (told or "") in (said[name] or "")

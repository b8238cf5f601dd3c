# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a model must lie on the GPU when it answers, unless its model.yml says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"
#: name: the GPUs of the host, the inventory's variables, the percentage.
CASES = {
    "a GPU": ([{"uuid": "GPU-1"}], {}, 1),
    "no GPU": ([], {}, 0),
    "a driver alone": ([], {"smi": {"program": "/x", "problem": "no_devices"}}, 0),
    "none wanted": ([{"uuid": "GPU-1"}], {"gpus": []}, 0),
    "models stay": ([{"uuid": "GPU-1"}], {"keep_alive": "0.5h"}, 1),
    "models leave at once": ([{"uuid": "GPU-1"}], {"keep_alive": "0"}, 0),
    "models leave at once, in another form": ([{"uuid": "GPU-1"}], {"keep_alive": "0s"}, 0),
}
PLAY = """
- hosts: box
  gather_facts: false
  vars: {{ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
  vars_files: [{roles}/ollama_models/vars/main.yml, {roles}/verify/vars/main.yml]
  tasks:
    - ansible.builtin.set_fact:
        asked: "{{{{ asked | default([]) + [[of_models, of_verify]] }}}}"
      loop: "{{{{ cases }}}}"
      vars:
        of_models: "{{{{ __ollama_models_require_gpu }}}}"
        of_verify: "{{{{ __verify_require_gpu }}}}"
        ollama_models_gpu_share: 1
        preflight_gpu: {{gpus: "{{{{ item.present }}}}"}}
        __verify_gpu_info:
          gpu:
            gpus: "{{{{ item.present }}}}"
            nvidia_smi: "{{{{ smi | combine(item.smi) }}}}"
        smi:
          program: "{{{{ '/usr/bin/nvidia-smi' if item.present else '' }}}}"
          problem:
        verify_gpus: "{{{{ ollama_server_gpus }}}}"
        ollama_server_gpus: "{{{{ item.gpus }}}}"
        ollama_server_keep_alive: "{{{{ item.keep_alive }}}}"
    - ansible.builtin.copy:
        content: "{{{{ asked | to_json }}}}"
        dest: "{folder}/asked.json"
        mode: "0600"
"""


@pytest.fixture(scope="module")
def asked(tmp_path_factory, run_play):
    folder = tmp_path_factory.mktemp("share")
    (folder / "play.yml").write_text(PLAY.format(roles=ROLES, folder=folder))
    cases = [
        {"present": present, "gpus": "all", "keep_alive": "30m", "smi": {}, **said}
        for present, said, _share in CASES.values()
    ]
    run_play(folder, cases)
    return dict(zip(CASES, json.loads((folder / "asked.json").read_text()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_both_roles_ask_for_the_same_share(asked, name):
    # What verify reads is recorded under the request of the other role.
    of_models, of_verify = map(int, asked[name])
    assert of_models == of_verify == CASES[name][2]

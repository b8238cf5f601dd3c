# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way a GPU gets into Ollama's container, and what Compose is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/ollama_server"
ONE, TWO = "GPU-11111111-1111-1111-1111-111111111111", "GPU-22222222-2222-2222-2222-222222222222"


def devices(**request):
    return {"deploy": {"resources": {"reservations": {"devices": [request]}}}}


CDI_ALL = devices(driver="cdi", device_ids=["nvidia.com/gpu=all"], capabilities=["gpu"])
#: name: engine, GPUs of the host, the user's two variables, what Compose is told, the environment.
CASES = {
    "no GPU": ("29.7.2", [], {}, {}, None),
    "no GPU, though a way is named": ("29.7.2", [], {"injection": "cdi"}, {}, None),
    "none wanted": ("29.7.2", [ONE], {"gpus": []}, {}, "void"),
    "current engine": ("29.7.2", [ONE], {}, CDI_ALL, None),
    "oldest engine that reads CDI": ("26.1.5", [ONE], {}, CDI_ALL, None),
    "engine that is still to come": (None, [ONE], {}, CDI_ALL, None),
    "older engine": ("25.0.5", [ONE], {}, {"runtime": "nvidia"}, "all"),
    "one of two": (
        "29.7.2",
        [ONE, TWO],
        {"gpus": [TWO]},
        devices(driver="cdi", device_ids=[f"nvidia.com/gpu={TWO}"], capabilities=["gpu"]),
        None,
    ),
    "runtime": ("29.7.2", [ONE], {"injection": "runtime"}, {"runtime": "nvidia"}, "all"),
    "runtime, two": (
        "29.7.2",
        [ONE, TWO],
        {"injection": "runtime", "gpus": [ONE, TWO]},
        {"runtime": "nvidia"},
        f"{ONE},{TWO}",
    ),
    "device request": (
        "29.7.2",
        [ONE],
        {"injection": "device_request"},
        devices(driver="nvidia", count="all", capabilities=["gpu"]),
        None,
    ),
    "device request, one": (
        "29.7.2",
        [ONE, TWO],
        {"injection": "device_request", "gpus": [ONE]},
        devices(driver="nvidia", device_ids=[ONE], capabilities=["gpu"]),
        None,
    ),
}
PLAY = """
- hosts: box
  gather_facts: false
  vars: {{ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
  vars_files: [{role}/defaults/main.yml, {role}/vars/main.yml]
  tasks:
    - ansible.builtin.set_fact:
        rendered: "{{{{ rendered | default([]) + [[compose, env]] }}}}"
      loop: "{{{{ cases }}}}"
      vars:
        compose: "{{{{ lookup('ansible.builtin.template', '{role}/templates/compose.yaml.j2') }}}}"
        env: "{{{{ lookup('ansible.builtin.template', '{role}/templates/env.j2') }}}}"
        preflight_gpu:
          gpus: "{{{{ item.present }}}}"
        preflight_host:
          docker:
            version: "{{{{ item.engine }}}}"
            containers: {{}}
          paths: {{}}
        ollama_server_gpus: "{{{{ item.gpus }}}}"
        ollama_server_gpu_injection: "{{{{ item.injection }}}}"
    - ansible.builtin.copy:
        content: "{{{{ rendered | to_json }}}}"
        dest: "{folder}/rendered.json"
        mode: "0600"
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory, run_play):
    """Compose's `ollama` service and the environment of each case, out of one run."""
    folder = tmp_path_factory.mktemp("compose")
    cases = [
        {
            "engine": engine,
            "present": [{"uuid": uuid} for uuid in present],
            "gpus": wanted.get("gpus", "all"),
            "injection": wanted.get("injection", "auto"),
        }
        for engine, present, wanted, _compose, _env in CASES.values()
    ]
    (folder / "play.yml").write_text(PLAY.format(role=ROLE, folder=folder))
    run_play(folder, cases)
    rendered = json.loads((folder / "rendered.json").read_text())
    return {
        name: (yaml.safe_load(compose)["services"]["ollama"], environment(env))
        for name, (compose, env) in zip(CASES, rendered, strict=True)
    }


def environment(text: str) -> dict[str, str]:
    lines = (line.replace("'", "").split("=", 1) for line in text.splitlines() if "=" in line)
    return dict(lines)


@pytest.mark.parametrize("name", CASES)
def test_compose_is_told_the_way_in(written, name):
    service, _told = written[name]
    said = {key: value for key, value in service.items() if key in {"deploy", "runtime", "gpus"}}
    assert said == CASES[name][3]


@pytest.mark.parametrize("name", CASES)
def test_label_says_the_way_so_that_a_gpu_that_is_gone_is_missed(written, name):
    service, _told = written[name]
    label = service["labels"].get("host.edgellm.gpu")
    assert (label is not None) is bool({"deploy", "runtime"} & set(service))


@pytest.mark.parametrize("name", CASES)
def test_the_runtime_is_told_which(written, name):
    _service, told = written[name]
    assert told.get("NVIDIA_VISIBLE_DEVICES") == CASES[name][4]

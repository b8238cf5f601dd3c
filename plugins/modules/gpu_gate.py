#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_gate
short_description: Tell whether Ollama really computes on the GPU
version_added: 0.1.0
description:
  - Follows the chain from the driver to the model in memory, and gives one row for each link with
    what was found and what to type.
  - The links are, in this order, C(nvidia-smi) on the host, the CDI specification, the container
    engine, a new container that gets exactly what Ollama's gets, Ollama's own container, the share
    of the loaded models that lies in GPU memory, and that C(nvidia-smi) sees this memory.
  - A row behind a broken link is not judged. It is not RV(rows[].ok) then, and tells which link to
    mend first.
  - A broken link does not make the module fail. Assert on RV(rows) where it should.
  - The service is only looked at. Nothing is loaded, unloaded or restarted, and the new container
    is gone afterwards. Run it with root's rights, else the engine may refuse to answer.
extends_documentation_fragment:
  - edgellm.host._attributes
attributes:
  check_mode:
    support: full
    details: No container is made and O(record) is not written.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: What is found may differ from run to run, and O(record) with it.
options:
  container:
    description:
      - The name of Ollama's container.
    type: str
    default: ollama
  url:
    description:
      - Where Ollama's API is asked what is loaded, for example V(http://127.0.0.1:11434). Proxy
        settings of the environment are ignored.
      - If not set, it is asked at the container's own address.
    type: str
  expect:
    description:
      - Whether a GPU should do the work. V(auto) expects one where the PCI bus has one, where
        C(nvidia-smi) is installed, or where the container was given one.
      - With V(never), and with V(auto) where none is expected, the answer is a single row that
        says V(CPU) and is RV(rows[].ok).
    type: str
    choices: [auto, always, never]
    default: auto
  min_share:
    description:
      - The share of each loaded model, in percent, that must lie in GPU memory.
    type: float
    default: 90
  trial:
    description:
      - Make a new container of Ollama's image, with the devices, the runtime and the NVIDIA
        variables that the engine tells of Ollama's container, and see which GPUs C(nvidia-smi)
        lists in it. It has no network.
      - With V(false) the row C(container) only tells how Ollama's container gets its GPU.
    type: bool
    default: true
  cuda_image:
    description:
      - A second image to do the same with, such as
        V(nvidia/cuda:12.4.1-base-ubuntu22.04). It must be on the host, it is not pulled.
      - It makes one more row, C(cuda). Ignored without O(trial).
    type: str
  cdi_path:
    description:
      - The CDI specification. If not set, the file that C(nvidia-cdi-refresh.service) writes, which
        is V(/var/run/cdi/nvidia.yaml) unless its settings say otherwise.
    type: path
  prompted:
    description:
      - RV(edgellm.host.ollama_probe#module:probe) of a question that was asked just before. Of it
        C(tokens_per_second) is told, and C(size) and C(size_vram) are judged where the model was
        unloaded since.
      - A recorded answer proves nothing about now. Of one, only the speed is told.
    type: dict
  model:
    description:
      - The name of the model that O(prompted) is of.
    type: str
    default: the model
  timeout:
    description:
      - How many seconds C(nvidia-smi) may take in a container.
    type: int
    default: 60
  record:
    description:
      - A JSON file on the host that keeps the answer. Its folder must exist. It is written when it
        would say something else than before, and that is RV(ignore:changed).
      - The timer of the role P(edgellm.host.verify#role) tells changes to the same file.
    type: path
requirements:
  - python >= 3.10
seealso:
  - module: edgellm.host.gpu_info
  - module: edgellm.host.ollama_probe
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: See whether tokens come from the GPU
  edgellm.host.gpu_gate:
    url: http://127.0.0.1:11434
  become: true
  register: gate

- name: Stop where they do not
  ansible.builtin.assert:
    that: gate.rows | rejectattr('ok') | length == 0
    fail_msg: "{{ gate.rows | rejectattr('ok') | map(attribute='remedy') | join('; ') }}"

- name: Look without making a container, and keep what was found
  edgellm.host.gpu_gate:
    trial: false
    record: /srv/edgellm/state/gpu-gate.json
  become: true

- name: Ask a model
  edgellm.host.ollama_probe:
    name: qwen2.5:7b-instruct
    force: true
  register: answer

- name: Tell where it was while it answered, and how fast
  edgellm.host.gpu_gate:
    prompted: "{{ answer.probe }}"
    model: qwen2.5:7b-instruct
  become: true
"""

RETURN = r"""
gpu_expected:
  description: Whether a GPU should do the work, see O(expect).
  returned: success
  type: bool
  sample: true
on_gpu:
  description: Whether Ollama's container sees its GPUs and, if a model is loaded, at least a part
    of it lies there. V(false) where no GPU is expected.
  returned: success
  type: bool
  sample: true
summary:
  description: RV(on_gpu) in a word, V(GPU) or V(CPU).
  returned: success
  type: str
  sample: GPU
rows:
  description: The links of the chain, in its order.
  returned: success
  type: list
  elements: dict
  contains:
    code:
      description: The link, one of V(driver), V(cdi), V(engine), V(container), V(cuda), V(ollama),
        V(share) and V(memory). The row V(cdi) is left out where the container is given its GPU in
        another way and C(nvidia-ctk) is not installed.
      type: str
      sample: ollama
    check:
      description: What should be.
      type: str
      sample: Ollama sees the GPU
    ok:
      description: Whether it is.
      type: bool
      sample: false
    found:
      description: What was found. It begins with C(not checked) where an earlier link is broken.
      type: str
      sample: "Failed to initialize NVML: Unknown Error"
    remedy:
      description: What to type, empty where all is well.
      type: str
      sample: sudo docker restart ollama
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.gpu import gate, observe, record
from ansible_collections.edgellm.host.plugins.module_utils.gpu.observation import Loaded, Prompted
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def prompted(params: dict[str, t.Any]) -> Prompted | None:
    said = params["prompted"]
    if not said:
        return None
    size, size_vram = said.get("size"), said.get("size_vram")
    now = not said.get("recorded") and size
    return Prompted(
        tokens_per_second=said.get("tokens_per_second"),
        loaded=Loaded(params["model"], int(size), int(size_vram or 0)) if now else None,
    )


def check_folder(path: str) -> None:
    folder = Path(path).parent
    if not folder.is_dir():
        raise Refused(f"record is {path}, but {folder} is no folder. Make it first.")


def keep(path: str, verdict: gate.Verdict, check_mode: bool) -> bool:
    """Whether the record says something else now."""
    before = record.read(path)
    wanted = record.content(before, verdict)
    if wanted == before.content:
        return False
    if not check_mode:
        record.keep(path, wanted)
    return True


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    path = params["record"]
    if path:
        check_folder(path)
    asked = observe.Questions(
        container=params["container"],
        url=params["url"] or "",
        expect=params["expect"],
        trial=params["trial"] and not module.check_mode,
        cuda_image=params["cuda_image"] or "",
        cdi_path=params["cdi_path"],
        prompted=prompted(params),
        timeout=params["timeout"],
    )
    verdict = gate.judge(observe.gather(asked), params["expect"], params["min_share"])
    changed = keep(path, verdict, module.check_mode) if path else False
    return {"changed": changed, **record.result(verdict)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "default": "ollama"},
            "url": {"type": "str"},
            "expect": {
                "type": "str",
                "choices": ["auto", "always", "never"],
                "default": "auto",
            },
            "min_share": {"type": "float", "default": 90},
            "trial": {"type": "bool", "default": True},
            "cuda_image": {"type": "str"},
            "cdi_path": {"type": "path"},
            "prompted": {"type": "dict"},
            "model": {"type": "str", "default": "the model"},
            "timeout": {"type": "int", "default": 60},
            "record": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()

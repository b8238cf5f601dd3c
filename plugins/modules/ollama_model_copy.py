#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model_copy
short_description: Give a model of an Ollama server another name
version_added: 0.1.0
description:
  - Has a model of an Ollama server installed under a second name, with the same digest. No weights
    are copied, so it takes an instant and no disk.
  - If the second name is another model, that one is replaced. Its blobs stay on the disk until
    M(edgellm.host.ollama_model_prune) or the server removes them.
  - The first name stays. Remove it with M(edgellm.host.ollama_model) and O(ignore:state=absent).
extends_documentation_fragment:
  - edgellm.host._connection
  - edgellm.host._attributes
  - edgellm.host._attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  source:
    description:
      - The name of an installed model, V([host/][namespace/]model[:tag]).
      - If it is not installed, the task fails before anything is changed, in check mode too.
    type: str
    required: true
  destination:
    description:
      - The name that the model gets, V([host/][namespace/]model[:tag]).
      - If it has the digest of O(source) already, nothing is done.
    type: str
    required: true
  keep_previous:
    description:
      - If O(destination) is another model, keep that one as RV(previous), so that it can be copied
        back.
    type: bool
    default: false
seealso:
  - module: edgellm.host.ollama_model
  - module: edgellm.host.ollama_model_prune
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Let applications ask for the model by a name that stays
  edgellm.host.ollama_model_copy:
    source: qwen2.5:7b-instruct
    destination: assistant

- name: Put a proven version in its place and keep the one before
  edgellm.host.ollama_model_copy:
    source: bge-m3:latest-next-790764642607
    destination: bge-m3
    keep_previous: true
  register: promoted

- name: Go back
  edgellm.host.ollama_model_copy:
    source: "{{ promoted.previous }}"
    destination: bge-m3
"""

RETURN = r"""
model:
  description: The model under its new name, or in check mode what it would be.
  returned: success
  type: dict
  contains:
    name:
      description: The name as the server lists it.
      type: str
      sample: assistant:latest
    full_name:
      description: The name with all its parts.
      type: str
      sample: registry.ollama.ai/library/assistant:latest
    digest:
      description: The SHA-256 of the manifest, in hexadecimal.
      type: str
      sample: 845dbda0ea48ed749caafd9e6037047aa19acfcfd82e704d7ca97d631a0b697e
    size:
      description: The size in bytes. They are shared with O(source).
      type: int
      sample: 4683087332
    modified_at:
      description: When the server last wrote the manifest, empty in check mode if it would be
        written.
      type: str
      sample: "2026-08-21T10:00:00+09:00"
    format:
      description: The format of the weights.
      type: str
      sample: gguf
    family:
      description: The architecture.
      type: str
      sample: qwen2
    parameter_size:
      description: The number of parameters.
      type: str
      sample: 7.6B
    quantization_level:
      description: The quantization.
      type: str
      sample: Q4_K_M
    context_length:
      description: The longest context the model was trained for, or V(none) if the server does
        not list it.
      type: int
      sample: 32768
    embedding_length:
      description: The length of an embedding, or V(none) if the server does not list it.
      type: int
      sample: 3584
    capabilities:
      description: What the model can do, or V(none) if the server does not list it.
      type: list
      elements: str
      sample: [completion, tools]
previous:
  description: The name under which the model that was replaced is kept, V(none) if none was
    replaced or O(keep_previous=false).
  returned: success
  type: str
  sample: bge-m3:latest-prev-0123456789ab
copies:
  description: What was copied, or in check mode would be, in order.
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: The name that was copied.
      type: str
      sample: qwen2.5:7b-instruct
    name:
      description: The name that it got.
      type: str
      sample: assistant:latest
    digest:
      description: The digest that the name has afterwards.
      type: str
      sample: 845dbda0ea48ed749caafd9e6037047aa19acfcfd82e704d7ca97d631a0b697e
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.ollama import copying, names, spec
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    wanted = copying.Wanted(
        source=names.parse(params["source"]),
        destination=names.parse(params["destination"]),
        keep_previous=params["keep_previous"],
    )
    with spec.connect(params) as client:
        plan, model = copying.ensure(client, wanted, check_mode=module.check_mode)
    return {
        "changed": plan.changed,
        "diff": plan.diff,
        "model": model,
        "previous": plan.previous.short if plan.previous else None,
        "copies": [
            {"source": step.source.short, "name": step.name.short, "digest": step.digest}
            for step in plan.copies
        ],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **spec.CONNECTION,
            "source": {"type": "str", "required": True},
            "destination": {"type": "str", "required": True},
            "keep_previous": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

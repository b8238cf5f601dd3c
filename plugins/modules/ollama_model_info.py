#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model_info
short_description: List the models of an Ollama server
version_added: 0.1.0
description:
  - Tells the version of an Ollama server and which models it has, with complete names and
    digests.
extends_documentation_fragment:
  - edgellm.host._connection
  - edgellm.host._attributes
  - edgellm.host._attributes.read_only
  - edgellm.host._attributes.actiongroup_ollama
options:
  name:
    description:
      - Tell only about this model, V([host/][namespace/]model[:tag]).
      - If it is not installed, RV(models) is empty.
    type: str
    aliases: [model]
seealso:
  - module: edgellm.host.ollama_model
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: List the models of the host
  edgellm.host.ollama_model_info:
  register: ollama

- name: Look at one model of a server elsewhere
  edgellm.host.ollama_model_info:
    url: http://192.0.2.10:11434
    name: bge-m3
"""

RETURN = r"""
server_version:
  description: The version of the server.
  returned: success
  type: str
  sample: 0.32.15
models:
  description: The installed models, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name as the server lists it.
      type: str
      sample: bge-m3:latest
    full_name:
      description: The name with all its parts.
      type: str
      sample: registry.ollama.ai/library/bge-m3:latest
    digest:
      description: The SHA-256 of the manifest, in hexadecimal.
      type: str
      sample: 7907646426070047a77226ac3e684fbbe8410524f7b4a74d02837e43f2146bab
    size:
      description: The size in bytes.
      type: int
      sample: 1157672605
    modified_at:
      description: When the server last wrote the manifest. It says nothing about whether the
        model changed.
      type: str
      sample: "2026-08-21T10:00:00+09:00"
    format:
      description: The format of the weights.
      type: str
      sample: gguf
    family:
      description: The architecture.
      type: str
      sample: bert
    parameter_size:
      description: The number of parameters.
      type: str
      sample: 566.70M
    quantization_level:
      description: The quantization.
      type: str
      sample: F16
    context_length:
      description: The longest context the model was trained for, or V(none) if the server does
        not list it.
      type: int
      sample: 8192
    embedding_length:
      description: The length of an embedding, or V(none) if the server does not list it.
      type: int
      sample: 1024
    capabilities:
      description: What the model can do.
      type: list
      elements: str
      sample: [embedding]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, probe, spec
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Client, Installed
from ansible_collections.edgellm.host.plugins.module_utils.ollama.model import describe
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def tell(client: Client, model: Installed) -> dict[str, object]:
    described = describe(model)
    if model.capabilities is None:
        described["capabilities"] = probe.capabilities(client.show(model.name))
    return described


def work(module: AnsibleModule) -> dict[str, object]:
    name = names.parse(module.params["name"]) if module.params["name"] else None
    with spec.connect(module.params) as client:
        models = [
            tell(client, model)
            for model in sorted(client.tags(), key=lambda model: model.name.key)
            if name is None or model.name.key == name.key
        ]
        return {"changed": False, "server_version": client.version(), "models": models}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**spec.CONNECTION, "name": {"type": "str", "aliases": ["model"]}},
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_registry_info
short_description: Tell what a model registry offers
version_added: 0.1.0
description:
  - Asks registries for models, such as registry.ollama.ai or hf.co, for the manifests that they
    offer now.
  - Needs no Ollama server and fetches no weights, so it also runs on the controller, to plan for
    hosts that have nothing yet.
extends_documentation_fragment:
  - edgellm.host._attributes
  - edgellm.host._attributes.read_only
options:
  names:
    description:
      - The names to ask for, each V([host/][namespace/]model[:tag]).
    type: list
    elements: str
    required: true
  registry_mirror:
    description:
      - Address of a mirror to ask instead of the registries that are part of the names,
        V(http://host[:port]) or V(https://host[:port]).
    type: str
  user_agent_version:
    description:
      - The version of the server that would pull. A registry may refuse models that need a newer
        one.
    type: str
  timeout:
    description:
      - How many seconds a registry may stay silent.
    type: int
    default: 30
requirements:
  - python >= 3.10
  - httpx >= 0.23
seealso:
  - module: edgellm.host.ollama_model
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Learn how large the models are
  edgellm.host.ollama_registry_info:
    names:
      - qwen2.5:7b-instruct
      - hf.co/elyza/Llama-3-ELYZA-JP-8B-GGUF:Q4_K_M
    user_agent_version: 0.32.15
  delegate_to: localhost
  register: offered

- name: Ask the mirror on the LAN instead
  edgellm.host.ollama_registry_info:
    names: [bge-m3]
    registry_mirror: http://192.0.2.1:8080
"""

RETURN = r"""
models:
  description: One entry for each of O(names), in the same order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name as a server would list it.
      type: str
      sample: bge-m3:latest
    full_name:
      description: The name with all its parts.
      type: str
      sample: registry.ollama.ai/library/bge-m3:latest
    digest:
      description: The SHA-256 of the manifest, in hexadecimal, or V(none) if there is
        RV(models[].error).
      type: str
      sample: 7907646426070047a77226ac3e684fbbe8410524f7b4a74d02837e43f2146bab
    size:
      description: The size in bytes, or V(none) if there is RV(models[].error).
      type: int
      sample: 1157672605
    layers:
      description: The blobs that the model is made of, the configuration last.
      type: list
      elements: dict
      contains:
        digest:
          description: The digest of the blob.
          type: str
          sample: sha256:daec91ffb5dd0c27411bd71f29932917c49cf529a641d0168496c3a501e3062c
        size:
          description: The size in bytes.
          type: int
          sample: 1157671200
        media_type:
          description: What the blob is.
          type: str
          sample: application/vnd.ollama.image.model
    error:
      description: Why the registry does not give this model, or V(none).
      type: str
      sample:
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, registry
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import RegistryError
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def ask(
    name: names.Name, mirror: str | None, version: str | None, timeout: int
) -> dict[str, object]:
    answer: dict[str, object] = {
        "name": name.short,
        "full_name": name.full,
        "digest": None,
        "size": None,
        "layers": [],
        "error": None,
    }
    try:
        offer = registry.fetch(registry.place(name, mirror), version=version, timeout=timeout)
    except RegistryError as error:
        return {**answer, "error": str(error)}
    layers = [dataclasses.asdict(layer) for layer in offer.layers]
    return {**answer, "digest": offer.digest, "size": offer.size, "layers": layers}


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    wanted = [names.parse(name) for name in params["names"]]
    mirror, version = params["registry_mirror"], params["user_agent_version"]
    models = [ask(name, mirror, version, params["timeout"]) for name in wanted]
    return {"changed": False, "models": models}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "registry_mirror": {"type": "str"},
            "user_agent_version": {"type": "str"},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

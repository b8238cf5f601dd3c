#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model
short_description: Install, update or remove a model of an Ollama server
version_added: 0.1.0
description:
  - Brings one model of an Ollama server into the wanted state.
  - Names are completed and compared the way the server does it, so V(bge-m3) and V(bge-m3:latest)
    are one model, and V(qwen2.5) is not V(qwen2.5-coder).
  - Whether something changed is judged by the digest of the model alone, before and after.
  - A model comes from a registry, or is created from a GGUF file on the host and a Modelfile.
  - Everything that can be refused is refused before anything is changed.
  - While a large model is fetched or uploaded, the terminal shows how far every host is.
extends_documentation_fragment:
  - edgellm.host._connection
  - edgellm.host._attributes
  - edgellm.host._attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
    details: The registry is asked for the manifest, and the server for blobs it has, so that the
      prediction is exact. Only the digest of a model that is yet to be created is not known.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: With O(state=latest) the registry may offer something else on the second run.
options:
  name:
    description:
      - The name of the model, V([host/][namespace/]model[:tag]).
    type: str
    required: true
    aliases: [model]
  state:
    description:
      - With V(present), the model is installed. One that is installed already stays as it is, and
        no registry is asked, unless O(digest) says that it should be another one.
      - With V(latest), the model is what the registry offers now.
      - With V(absent), the model is not installed. It is taken out of memory first.
    type: str
    choices: [present, latest, absent]
    default: present
  digest:
    description:
      - The digest that the model must have, as RV(model.digest) gives it. It is the SHA-256 of
        the manifest.
      - If the registry offers another one, the task fails before anything is changed.
    type: str
  registry:
    description:
      - The name to pull, if it differs from O(name), for example
        V(hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M).
      - Afterwards the model is known as O(name). The name that was pulled is removed, unless it
        was there before.
    type: str
  registry_mirror:
    description:
      - Address of a mirror to pull from instead of the registry that is part of the name,
        V(http://host[:port]) or V(https://host[:port]).
      - Afterwards the model is known as O(name), with the same digest. Meanwhile it has a name
        that begins with the mirror's address. That name is removed in any case.
    type: str
  gguf:
    description:
      - The path, on the managed host, of a GGUF file that holds the weights.
      - The file is uploaded to the server through its API, so the server need not see it. It may
        be removed afterwards if O(gguf_sha256) and O(record) are given.
      - O(state=latest) has no meaning for such a model.
    type: path
  gguf_sha256:
    description:
      - The SHA-256 of O(gguf), for example from M(edgellm.host.gguf_file). If not set, the file is
        read in every run to find out.
      - The server refuses an upload that has another one.
    type: str
  gguf_size:
    description:
      - The size of O(gguf) in bytes. A file of another size is refused.
      - With it, the file need not be there yet in check mode.
    type: int
  modelfile:
    description:
      - The text of the Modelfile, read exactly as C(ollama create) reads it. CRLF line ends do not
        matter.
      - Its C(FROM) must name the file of O(gguf). In which folder does not matter.
      - C(ADAPTER) and C(DRAFT) are refused, deprecated parameters are left out with a warning.
      - If not set, the model is the weights alone, as with C(FROM) as the only line.
    type: str
  record:
    description:
      - A JSON file on the managed host that remembers what the model was created from. Its folder
        must exist.
      - A model is as wanted if it was created from the same weights and an equal Modelfile, and
        still has the digest that it had then. So a model that somebody changed is created again,
        and a new version of the server changes nothing.
      - If the file does not say anything about the model, what the server shows of it is compared,
        and if that is the same, the model is taken over as it is. The weights cannot be compared
        on servers from 0.30 on, because they store them in another form.
    type: path
  status_file:
    description:
      - A file on the managed host into which the progress of a pull or upload is written, as JSON.
      - Private to the collection, which uses it to show the progress. It may change at any time.
    type: path
seealso:
  - module: edgellm.host.ollama_model_info
  - module: edgellm.host.ollama_probe
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Install a model unless it is there
  edgellm.host.ollama_model:
    name: qwen2.5:7b-instruct

- name: Install exactly this version of a model through a mirror on the LAN
  edgellm.host.ollama_model:
    name: bge-m3
    digest: 7907646426070047a77226ac3e684fbbe8410524f7b4a74d02837e43f2146bab
    registry_mirror: http://192.0.2.1:8080

- name: Install a model from Hugging Face under a short name
  edgellm.host.ollama_model:
    name: elyza-jp-8b
    registry: hf.co/elyza/Llama-3-ELYZA-JP-8B-GGUF:Q4_K_M

- name: Create a model from a file and a Modelfile
  edgellm.host.ollama_model:
    name: elyza-jp-8b
    gguf: /srv/edgellm/models/elyza-jp-8b/Llama-3-ELYZA-JP-8B-q4_k_m.gguf
    modelfile: "{{ lookup('ansible.builtin.file', 'models/elyza-jp-8b/Modelfile') }}"
    record: /srv/edgellm/state/model-elyza-jp-8b.json

- name: Manage the models of a server on another port
  module_defaults:
    group/edgellm.host.ollama:
      url: http://127.0.0.1:11500
  block:
    - name: Follow the registry
      edgellm.host.ollama_model:
        name: llama3.2:3b
        state: latest

    - name: Remove a model
      edgellm.host.ollama_model:
        name: llama2
        state: absent
"""

RETURN = r"""
model:
  description:
    - The model after the task, or V(none) if it is not installed.
    - In check mode, what is known beforehand, which is at least RV(model.name),
      RV(model.full_name), RV(model.digest) and RV(model.size). The last two are V(none) if the
      model is yet to be created.
  returned: success
  type: dict
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
      description: What the model can do, or V(none) if the server does not list it.
      type: list
      elements: str
      sample: [embedding]
plan:
  description: What was done, or in check mode would be done.
  returned: success
  type: dict
  contains:
    actions:
      description: The steps, in order.
      type: list
      elements: dict
      contains:
        action:
          description: One of V(pull), V(copy), V(unload), V(delete), V(upload) and V(create).
          type: str
          sample: pull
        name:
          description: The name that the step is about.
          type: str
          sample: bge-m3:latest
        bytes_fetch:
          description: How many bytes come over the network.
          type: int
          sample: 1157672605
        bytes_reuse:
          description: How many bytes the server has already.
          type: int
          sample: 0
        bytes_upload:
          description: How many bytes of a file on the host are sent to the server.
          type: int
          sample: 0
    bytes_fetch:
      description: How many bytes come over the network in all steps.
      type: int
      sample: 1157672605
    bytes_reuse:
      description: How many bytes the server has already.
      type: int
      sample: 0
    bytes_upload:
      description: How many bytes of files on the host are sent to the server in all steps.
      type: int
      sample: 0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import (
    create,
    model,
    names,
    plan,
    recipe,
    registry,
    spec,
)
from ansible_collections.edgellm.host.plugins.module_utils.ollama.record import OriginRecord
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    created = params["gguf"] is not None and params["state"] != "absent"
    outcome = _create(module) if created else _pull_or_remove(module)
    return {
        "changed": outcome.plan.changed,
        "diff": outcome.plan.diff,
        "model": outcome.model,
        "plan": outcome.plan.to_result(),
    }


def _create(module: AnsibleModule) -> model.Outcome:
    params = module.params
    if params["state"] == "latest":
        raise Refused(
            "state=latest follows a registry, but a model from gguf has none. Use state=present."
        )
    weights = recipe.Weights(
        params["gguf"], recipe.parse_sha256(params["gguf_sha256"]), params["gguf_size"]
    )
    wanted = recipe.make(names.parse(params["name"]), weights, params["modelfile"])
    for warning in wanted.warnings:
        module.warn(warning)
    record = OriginRecord(params["record"]) if params["record"] else None
    with spec.connect(params) as client:
        return create.ensure(
            client,
            wanted,
            record,
            check_mode=module.check_mode,
            status_file=params["status_file"],
        )


def _pull_or_remove(module: AnsibleModule) -> model.Outcome:
    params = module.params
    name = names.parse(params["name"])
    pulled = names.parse(params["registry"]) if params["registry"] else name
    wanted = plan.Wanted(
        name=name,
        state=params["state"],
        source=registry.place(pulled, params["registry_mirror"]),
        mirrored=bool(params["registry_mirror"]),
        digest=names.parse_digest(params["digest"]),
    )
    with spec.connect(params) as client:
        return model.ensure(
            client, wanted, check_mode=module.check_mode, status_file=params["status_file"]
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **spec.CONNECTION,
            "name": {"type": "str", "required": True, "aliases": ["model"]},
            "state": {
                "type": "str",
                "choices": ["present", "latest", "absent"],
                "default": "present",
            },
            "digest": {"type": "str"},
            "registry": {"type": "str"},
            "registry_mirror": {"type": "str"},
            "gguf": {"type": "path"},
            "gguf_sha256": {"type": "str"},
            "gguf_size": {"type": "int"},
            "modelfile": {"type": "str"},
            "record": {"type": "path"},
            "status_file": {"type": "path"},
        },
        mutually_exclusive=[
            ("gguf", option) for option in ("registry", "registry_mirror", "digest")
        ],
        required_by={
            option: ["gguf"] for option in ("gguf_sha256", "gguf_size", "modelfile", "record")
        },
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

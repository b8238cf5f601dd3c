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
  - With O(store), also tells what each model is made of, and its manifest to the letter.
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
  names:
    description:
      - Tell only about these models, each V([host/][namespace/]model[:tag]).
      - Those that are not installed are not in RV(models).
    type: list
    elements: str
  store:
    description:
      - The folder on the managed host that the server knows as E(OLLAMA_MODELS), for example
        V(/srv/edgellm/data/models).
      - With it, RV(models[].layers) and RV(models[].manifest) are told. It is only read.
    type: path
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

- name: Learn what the models are made of
  edgellm.host.ollama_model_info:
    names: [bge-m3, "qwen2.5:7b-instruct"]
    store: /srv/edgellm/data/models
  become: true
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
      description: What the model can do, or V(none) if the server cannot tell because blobs of the
        model are missing or damaged.
      type: list
      elements: str
      sample: [embedding]
    layers:
      description:
        - The blobs that the model is made of, the configuration last.
        - V(none) if O(store) does not have the manifest with RV(models[].digest). There is a
          warning then.
      returned: when O(store) is given
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
        present:
          description: Whether the blob is in the store, with that size.
          type: bool
          sample: true
        links:
          description: Whether the blob has another name too, outside of the store or in it.
            Removing the blob then frees nothing.
          type: bool
          sample: false
    manifest:
      description:
        - The manifest as text. The SHA-256 of its bytes in UTF-8 is RV(models[].digest).
        - A server does not always count the newline at the end of the file. If it does not,
          there is none here.
        - V(none) if O(store) does not have the manifest with that digest. There is a warning then.
      returned: when O(store) is given
      type: str
      sample: '{"schemaVersion":2,"config":{},"layers":[]}'
"""

import contextlib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, probe, spec
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Client, Installed
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import ApiError
from ansible_collections.edgellm.host.plugins.module_utils.ollama.manifest import Layer
from ansible_collections.edgellm.host.plugins.module_utils.ollama.model import describe
from ansible_collections.edgellm.host.plugins.module_utils.ollama.store import Contents, Store
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def tell(client: Client, model: Installed) -> dict[str, object]:
    described = describe(model)
    if model.capabilities is None:
        # A model whose blobs are damaged is listed, but cannot be shown.
        with contextlib.suppress(ApiError):
            described["capabilities"] = probe.capabilities(client.show(model.name))
    return described


def tell_stored(contents: Contents, model: Installed) -> dict[str, object]:
    entry = contents.find(model.name)
    raw = entry.as_listed(model.digest) if entry else None
    if entry is None or entry.manifest is None or raw is None:
        return {"layers": None, "manifest": None}
    layers = [tell_layer(contents, layer) for layer in entry.manifest.layers]
    return {"layers": layers, "manifest": raw.decode()}


def tell_layer(contents: Contents, layer: Layer) -> dict[str, object]:
    file = contents.blobs.get(layer.digest)
    return {
        "digest": layer.digest,
        "size": layer.size,
        "media_type": layer.media_type,
        "present": file is not None and file.size == layer.size,
        "links": file is not None and file.linked,
    }


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    asked = params["names"] if params["name"] is None else [params["name"]]
    only = None if asked is None else {names.parse(name).key for name in asked}
    store = Store(Path(params["store"])) if params["store"] else None
    if store:
        store.check()
    with spec.connect(params) as client:
        installed = [
            model
            for model in sorted(client.tags(), key=lambda model: model.name.key)
            if only is None or model.name.key in only
        ]
        models = [tell(client, model) for model in installed]
        version = client.version()
    if store:
        contents = store.read()
        for model, described in zip(installed, models, strict=True):
            described.update(tell_stored(contents, model))
            if described["manifest"] is None:
                module.warn(
                    f"{store.root} does not have {model.name.short} as the server lists it, with "
                    f"the digest {model.digest}. Is it the store of the server at {params['url']}?"
                )
    return {"changed": False, "server_version": version, "models": models}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **spec.CONNECTION,
            "name": {"type": "str", "aliases": ["model"]},
            "names": {"type": "list", "elements": "str"},
            "store": {"type": "path"},
        },
        mutually_exclusive=[("name", "names")],
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

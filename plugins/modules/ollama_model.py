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
  - A model is pulled from a registry, created from a GGUF file on the host (O(gguf)), or made from
    another model (O(from)). The last two take a Modelfile, or its fields one by one, or both.
  - Everything that can be refused is refused before anything is changed.
  - While a large model is fetched or uploaded, the terminal shows how far every host is. Where the
    output is not a terminal, nothing is shown. Ctrl-C stops the work on the host too.
extends_documentation_fragment:
  - edgellm.host._connection
  - edgellm.host._attributes
  - edgellm.host._attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
    details: The registry is asked for the manifest, and the server for blobs it has, so that the
      prediction is exact. Only the digest of a model that is yet to be created is not known, and
      whether a file that is not there yet will be linked. A base that no registry has is taken for
      one that a task before would make, with a warning.
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
      - A version that is on the server under another name, such as a kept one, is copied, and no
        registry is asked. Else, if the registry offers another one, the task fails before anything
        is changed.
      - What a server creates has the same digest for the same wish as long as its version stays
        the same. It is created under another name first, and gets O(name) only if the digest is
        the expected one.
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
      - With O(from), a base that is missing is pulled there.
    type: str
  from:
    description:
      - The name of the model that this one is made from.
      - A base that is not installed is pulled first. One that is installed stays as it is.
      - When the base has become another one, the model is made again.
      - O(state=latest) has no meaning for such a model.
    type: str
  from_digest:
    description:
      - The digest that O(from) must have if it is missing and has to be pulled. If the registry
        offers another one, the task fails before anything is changed.
      - A base that is installed stays as it is all the same.
    type: str
  gguf:
    description:
      - The path, on the managed host, of a GGUF file that holds the weights.
      - Unless it is linked (O(import_method)), the file is uploaded to the server through its API,
        so the server need not see it. It may be removed afterwards if O(gguf_sha256) and O(record)
        are given.
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
      - Its C(FROM) must name the file of O(gguf), in which folder does not matter, or the model of
        O(from). With neither of these options the model that it names is the base.
      - A file after C(ADAPTER) must be one of O(adapters). C(DRAFT) is refused, and deprecated
        parameters are left out with a warning.
      - If not set, the model is the weights or the base and the fields below.
    type: str
  template:
    description:
      - The template of the prompt, in Go's template language. It replaces that of O(modelfile), as
        the other fields below do too.
    type: str
  system:
    description:
      - The system message.
    type: str
  parameters:
    description:
      - Parameters such as C(num_ctx), C(temperature) and C(stop), which takes a list.
      - They are set one by one, so those of O(modelfile) that are not named here stay.
      - Unknown parameters and values of the wrong type are refused. A server would store them, and
        fail when it loads the model.
    type: dict
  messages:
    description:
      - The beginning of every conversation.
    type: list
    elements: dict
    suboptions:
      role:
        description: Who says it.
        type: str
        choices: [system, user, assistant]
        required: true
      content:
        description: What is said.
        type: str
        required: true
  license:
    description:
      - The texts of licences. With O(from), they are added to those of the base.
    type: list
    elements: str
  adapters:
    description:
      - Paths, on the managed host, of GGUF files with LoRA adapters. Servers take one at present.
    type: list
    elements: path
  renderer:
    description:
      - The name of the server's own renderer of prompts.
    type: str
  parser:
    description:
      - The name of the server's own parser of answers.
    type: str
  requires:
    description:
      - The oldest version of Ollama that can run the model, such as V(0.14.0). An older server is
        refused.
    type: str
  quantize:
    description:
      - What the server makes of unquantized weights.
    type: str
    choices: [F32, F16, Q4_K_S, Q4_K_M, Q8_0]
  keep_previous:
    description:
      - Keep the version that is replaced, as V(<name>:<tag>-prev-<digest>) with twelve digits of
        the digest. It takes no room but for what the new version does not share with it.
    type: bool
    default: false
  import_method:
    description:
      - How the weights of O(gguf) get into the server's store.
      - V(api) uploads them, and the server makes a second copy of them.
      - V(link) gives the file a second name in O(store), so it takes no more room and no time, and
        the digest is the same on every server. If the server would find out something by itself
        that the Modelfile does not say, such as the template, the file is uploaded all the same,
        with a warning. Where no link is possible the file is copied.
      - V(auto) is V(link) with O(store), else V(api), without a warning. RV(import_reason) tells
        why a file was not linked.
      - A model that is as wanted stays as it is, however it was imported.
    type: str
    choices: [api, link, auto]
    default: auto
  store:
    description:
      - The server's store (C(OLLAMA_MODELS)) as the managed host sees it, for example
        V(/srv/edgellm/data/models).
      - With it, files can be linked into the store (O(import_method)), the rest of an interrupted
        pull counts as reused, and what the disk has no room for is refused.
    type: path
  record:
    description:
      - A JSON file on the managed host that remembers what the model was made from, and the digest
        that came out. Its folder must exist.
      - A created model is as wanted if it was created from the same weights or base with equal
        fields, and still has the digest that it had then. So a model that somebody changed is
        created again, and a new version of the server changes nothing.
      - A version that is not the recorded one is kept, as with O(keep_previous), before it is
        replaced, and told as RV(drift).
      - A pulled model that somebody changed is told too. It is put back only if O(digest) says
        which one is wanted.
      - If the file does not say anything about a created model, what the server shows of it is
        compared, and if that is the same, the model is taken over as it is. The weights cannot be
        compared on servers from 0.30 on, because they store them in another form.
    type: path
  check_upstream:
    description:
      - Ask the registry also if the model is as wanted, and tell in RV(upstream) what it offers.
        It is never taken. A registry that does not answer is no failure then.
    type: bool
    default: false
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

- name: Make a model with other settings from a base, and keep the version before
  edgellm.host.ollama_model:
    name: kind-qwen
    from: qwen2.5:7b-instruct
    system: 常に日本語で丁寧に回答。
    parameters:
      num_ctx: 2048
      temperature: 0.2
    record: /srv/edgellm/state/model-kind-qwen.json
    keep_previous: true

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
          description: One of V(snapshot), V(pull), V(copy), V(unload), V(delete), V(upload),
            V(link) and V(create).
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
        bytes_disk:
          description: How many bytes the step needs on the disk of the store. A server from 0.30
            on writes the weights anew when it creates a model, so that counts twice.
          type: int
          sample: 1157672605
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
    bytes_disk:
      description: How many bytes are needed on the disk of the store in all steps.
      type: int
      sample: 1157672605
drift:
  description: What somebody else made of a recorded model, or V(none).
  returned: success
  type: dict
  contains:
    recorded:
      description: The digest that the model had when it was recorded.
      type: str
      sample: 7907646426070047a77226ac3e684fbbe8410524f7b4a74d02837e43f2146bab
    present:
      description: The digest that it had before this task.
      type: str
      sample: 845dbda0ea48ed749caafd9e6037047aa19acfcfd82e704d7ca97d631a0b697e
import_method:
  description: How the weights got into the store, V(link) or V(api), or V(none) if nothing was
    imported.
  returned: success
  type: str
  sample: link
import_reason:
  description: Why the file was not linked, or V(none).
  returned: success
  type: str
  sample: The Modelfile has no TEMPLATE, which Ollama 0.24.0 looks up by the chat template of an
    uploaded file.
recorded:
  description: What O(record) says of the model, or V(none) without it and where check mode cannot
    know.
  returned: success
  type: dict
  contains:
    spec:
      description: The hash of everything that the model is made from.
      type: str
      sample: 5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9
    digest:
      description: The digest that came out.
      type: str
      sample: 7907646426070047a77226ac3e684fbbe8410524f7b4a74d02837e43f2146bab
    gguf_sha256:
      description: The SHA-256 of the file of O(gguf), or an empty string.
      type: str
      sample: ""
    base_digest:
      description: The digest of the base, or an empty string.
      type: str
      sample: ""
    server_version:
      description: The version of the server that created the model, or an empty string.
      type: str
      sample: 0.32.15
    way:
      description: How the weights of O(gguf) got into the store, V(link) or V(api), or an empty
        string.
      type: str
      sample: link
snapshot:
  description: The name under which the version that was replaced is kept, or V(none).
  returned: success
  type: str
  sample: bge-m3:latest-prev-845dbda0ea48
upstream:
  description: What the registry offers now, or V(none) without O(check_upstream).
  returned: success
  type: dict
  contains:
    digest:
      description: The digest that is offered, or V(none) if the registry does not tell.
      type: str
      sample: 845dbda0ea48ed749caafd9e6037047aa19acfcfd82e704d7ca97d631a0b697e
    differs:
      description: Whether that is another one than the installed one.
      type: bool
      sample: true
    error:
      description: Why the registry does not tell, or V(none).
      type: str
      sample: null
"""

import dataclasses
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import (
    create,
    creation,
    fields,
    model,
    names,
    plan,
    recipe,
    registry,
    spec,
)
from ansible_collections.edgellm.host.plugins.module_utils.ollama.modelfile import ROLES
from ansible_collections.edgellm.host.plugins.module_utils.ollama.record import OriginRecord
from ansible_collections.edgellm.host.plugins.module_utils.ollama.store import Store
from ansible_collections.edgellm.host.plugins.module_utils.run import run

FIELDS = (
    "license",
    "messages",
    "parameters",
    "parser",
    "quantize",
    "renderer",
    "requires",
    "system",
    "template",
)
CREATION = ("gguf", "from", "modelfile")


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    created = any(params[option] for option in CREATION) and params["state"] != "absent"
    outcome = _create(module) if created else _pull_or_remove(module)
    for warning in outcome.warnings:
        module.warn(warning)
    return {
        "changed": outcome.plan.changed,
        "diff": outcome.plan.diff,
        "model": outcome.model,
        "plan": outcome.plan.to_result(),
        "drift": outcome.drift,
        "snapshot": outcome.plan.snapshot,
        "upstream": outcome.upstream,
        "import_method": outcome.way,
        "import_reason": outcome.way_reason,
        "recorded": _recorded(module, outcome),
    }


def _recorded(module: AnsibleModule, outcome: model.Outcome) -> dict[str, str] | None:
    record = _record(module.params)
    if record is None or (module.check_mode and outcome.plan.changed):
        return None
    origin = record.read(names.parse(module.params["name"]))
    return dataclasses.asdict(origin) if origin else None


def _create(module: AnsibleModule) -> model.Outcome:
    params = module.params
    if params["state"] == "latest":
        raise Refused(
            "state=latest follows a registry, but a model that is created from gguf or from a base "
            "has none. Use state=present."
        )
    made = recipe.make(
        names.parse(params["name"]),
        _source(params),
        params["modelfile"],
        {option: params[option] for option in FIELDS},
        [recipe.Weights(path) for path in params["adapters"] or []],
    )
    for warning in made.warnings:
        module.warn(warning)
    wanted = creation.Wanted(
        recipe=made,
        digest=names.parse_digest(params["digest"]),
        keep_previous=params["keep_previous"],
        registry_mirror=params["registry_mirror"],
        base_digest=names.parse_digest(params["from_digest"]),
        store=_store(params),
        method=params["import_method"],
    )
    with spec.connect(params) as client:
        outcome = create.ensure(
            client,
            wanted,
            _record(params),
            check_mode=module.check_mode,
            status_file=params["status_file"],
        )
    if params["import_method"] == "link" and outcome.way_reason:
        module.warn(f"{wanted.recipe.name.short}: {outcome.way_reason}")
    return outcome


def _source(params: dict[str, str]) -> recipe.Weights | recipe.Base:
    if params["gguf"]:
        sha256 = recipe.parse_sha256(params["gguf_sha256"])
        return recipe.Weights(params["gguf"], sha256, params["gguf_size"])
    if params["from"]:
        return recipe.Base(names.parse(params["from"]))
    return recipe.Base(recipe.base_of(params["modelfile"]))


def _record(params: dict[str, str]) -> OriginRecord | None:
    return OriginRecord(params["record"]) if params["record"] else None


def _store(params: dict[str, str]) -> Store | None:
    return Store(Path(params["store"])) if params["store"] else None


def _pull_or_remove(module: AnsibleModule) -> model.Outcome:
    params = module.params
    _refuse_fields(params)
    name = names.parse(params["name"])
    pulled = names.parse(params["registry"]) if params["registry"] else name
    wanted = plan.Wanted(
        name=name,
        state=params["state"],
        source=registry.place(pulled, params["registry_mirror"]),
        mirrored=bool(params["registry_mirror"]),
        digest=names.parse_digest(params["digest"]),
        keep_previous=params["keep_previous"],
    )
    with spec.connect(params) as client:
        return model.ensure(
            client,
            wanted,
            _record(params),
            check_mode=module.check_mode,
            check_upstream=params["check_upstream"],
            store=_store(params),
            status_file=params["status_file"],
        )


def _refuse_fields(params: dict[str, str]) -> None:
    given = [option for option in (*FIELDS, "adapters") if params[option]]
    if given and params["state"] != "absent":
        raise Refused(
            f"{given[0]} changes what a model is, so a model that is pulled cannot have it. "
            "Give the model another name, and the one from the registry in from."
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
            "from": {"type": "str"},
            "from_digest": {"type": "str"},
            "gguf": {"type": "path"},
            "gguf_sha256": {"type": "str"},
            "gguf_size": {"type": "int"},
            "modelfile": {"type": "str"},
            "template": {"type": "str"},
            "system": {"type": "str"},
            "parameters": {"type": "dict"},
            "messages": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "role": {"type": "str", "required": True, "choices": list(ROLES)},
                    "content": {"type": "str", "required": True},
                },
            },
            "license": {"type": "list", "elements": "str"},
            "adapters": {"type": "list", "elements": "path"},
            "renderer": {"type": "str"},
            "parser": {"type": "str"},
            "requires": {"type": "str"},
            "quantize": {"type": "str", "choices": list(fields.QUANTIZATIONS)},
            "keep_previous": {"type": "bool", "default": False},
            "import_method": {
                "type": "str",
                "choices": ["api", "link", "auto"],
                "default": "auto",
            },
            "store": {"type": "path"},
            "record": {"type": "path"},
            "check_upstream": {"type": "bool", "default": False},
            "status_file": {"type": "path"},
        },
        mutually_exclusive=[
            ("gguf", "from"),
            ("gguf", "registry"),
            ("from", "registry"),
            ("modelfile", "registry"),
            ("gguf", "registry_mirror"),
        ],
        required_by={
            **{option: ["gguf"] for option in ("gguf_sha256", "gguf_size", "quantize")},
            "from_digest": ["from"],
        },
        required_if=[("import_method", "link", ["store", "gguf"])],
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

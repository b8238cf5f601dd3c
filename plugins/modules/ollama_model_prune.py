#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model_prune
short_description: Remove what nobody needs from an Ollama server
version_added: 0.1.0
description:
  - Removes blobs that no model needs, what broken-off downloads and uploads left, and, only if
    asked for, models that are not in a list.
  - Everything that goes is in RV(plan), and what stays though it looks as if it could go is in
    RV(kept), with the reason.
  - Immediately before a file or a model is removed, it is looked at again. What somebody used or
    changed meanwhile stays.
  - While a file among the manifests cannot be read, nobody knows which blobs are needed. Then no
    blob is removed, and no model either, because the server removes its blobs with it.
  - Models are removed through the server. Blobs and partial downloads are removed from the folder
    C(blobs) of O(store), and symbolic links are never followed.
  - With O(unlisted=false) the server is asked nothing, so it need not run.
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
    support: partial
    details: What was too young for O(min_age) is old enough one day.
options:
  store:
    description:
      - The folder on the managed host that the server knows as E(OLLAMA_MODELS), for example
        V(/srv/edgellm/data/models).
      - Required for O(orphans) and O(partials). Without it, RV(plan.bytes_freed) is not known when
        models go.
    type: path
  orphans:
    description:
      - Remove blobs that no model needs.
    type: bool
    default: true
  partials:
    description:
      - Remove what downloads and uploads left that were broken off. They start from the beginning
        then.
    type: bool
    default: true
  min_age:
    description:
      - How many seconds a blob or a partial download must have been left in peace to be removed.
        One that is younger may belong to a pull, an upload or an import that is under way.
      - A new hard link to an old file counts as young.
    type: int
    default: 3600
  unlisted:
    description:
      - Remove the models that are not in O(keep).
      - Other names of a kept model stay, which are those with the same digest, and so do its
        snapshots, see O(snapshots).
      - If none of O(keep) is installed, the task fails before anything is changed.
    type: bool
    default: false
  keep:
    description:
      - The models to keep, each V([host/][namespace/]model[:tag]). Names are completed and compared
        the way the server does it, so V(bge-m3) and V(bge-m3:latest) are one model, and
        V(qwen2.5) is not V(qwen2.5-coder).
      - Must not be empty with O(unlisted=true).
    type: list
    elements: str
    default: []
  snapshots:
    description:
      - With O(unlisted=true), remove the kept and staged versions of the models in O(keep) too,
        whose tags end in V(-prev-) or V(-next-) and 12 digits of a digest.
      - Those of models that go are removed in any case, except other names of a kept model.
    type: bool
    default: false
seealso:
  - module: edgellm.host.ollama_model
  - module: edgellm.host.ollama_model_copy
  - module: edgellm.host.ollama_server_info
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Give back the disk that nothing needs
  edgellm.host.ollama_model_prune:
    store: /srv/edgellm/data/models
  become: true

- name: Have only these models, and their other names and snapshots
  edgellm.host.ollama_model_prune:
    store: /srv/edgellm/data/models
    unlisted: true
    keep: ["qwen2.5:7b-instruct", bge-m3, elyza-jp-8b]
  become: true

- name: Remove the models that a server elsewhere should not have
  edgellm.host.ollama_model_prune:
    url: http://192.0.2.10:11434
    orphans: false
    partials: false
    unlisted: true
    keep: [bge-m3]
"""

RETURN = r"""
plan:
  description: What was removed, or in check mode would be.
  returned: success
  type: dict
  contains:
    models:
      description: The models.
      type: list
      elements: dict
      contains:
        name:
          description: The name as the server lists it.
          type: str
          sample: llama2:latest
        full_name:
          description: The name with all its parts.
          type: str
          sample: registry.ollama.ai/library/llama2:latest
        digest:
          description: The SHA-256 of the manifest, in hexadecimal.
          type: str
          sample: 78e26419b4469263f75331927a00a0284ef6544c1975b826b15abdaef17bb962
    blobs:
      description: The blobs, first those that go with RV(plan.models), then the orphans. Empty
        without O(store).
      type: list
      elements: dict
      contains:
        digest:
          description: The digest of the blob.
          type: str
          sample: sha256:8934d96d3f08982e95922b2b7a2c626a1fe873d7c3b06e8e56d7bc0a1fef9246
        size:
          description: The size in bytes.
          type: int
          sample: 3826781184
        bytes_freed:
          description: The bytes that come free with this blob alone.
          type: int
          sample: 3826781184
        linked:
          description: Whether the blob has another name too, for example a file of
            M(edgellm.host.gguf_file). Then it frees nothing.
          type: bool
          sample: false
        needed_by:
          description: The models of RV(plan.models) that needed it. Empty for an orphan.
          type: list
          elements: str
          sample: ["llama2:latest"]
    partials:
      description: What broken-off downloads and uploads left.
      type: list
      elements: dict
      contains:
        digest:
          description: The digest that the download would have had, V(none) for an upload.
          type: str
          sample: sha256:8934d96d3f08982e95922b2b7a2c626a1fe873d7c3b06e8e56d7bc0a1fef9246
        files:
          description: The files in the folder C(blobs).
          type: list
          elements: str
          sample: [sha256-1234567890]
        bytes_freed:
          description: The bytes that come free.
          type: int
          sample: 800000
    bytes_freed:
      description: The bytes that come free on the disk, or V(none) if models go and O(store) is
        not given.
      type: int
      sample: 3826793677
kept:
  description: What stays though it is not needed or not in O(keep).
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: One of V(model), V(blob), V(blobs) and V(partial).
      type: str
      sample: blob
    name:
      description: The name of the model, the digest of the blob or the name of the file. V(all) for
        V(blobs).
      type: str
      sample: sha256:8934d96d3f08982e95922b2b7a2c626a1fe873d7c3b06e8e56d7bc0a1fef9246
    reason:
      description: Why it stays.
      type: str
      sample: a model that was made meanwhile needs it
"""

import dataclasses
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, prune, spec
from ansible_collections.edgellm.host.plugins.module_utils.ollama.store import Store
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    wanted = prune.Wanted(
        orphans=params["orphans"],
        partials=params["partials"],
        min_age=params["min_age"],
        unlisted=params["unlisted"],
        keep=tuple(names.parse(name) for name in params["keep"]),
        snapshots=params["snapshots"],
    )
    store = Store(Path(params["store"])) if params["store"] else None
    with spec.connect(params) as client:
        plan = prune.ensure(client, wanted, store, check_mode=module.check_mode)
    for kept in plan.kept:
        if kept.kind == "blobs":
            module.warn(f"No blob was removed: {kept.reason}")
    return {
        "changed": plan.changed,
        "diff": plan.diff,
        "plan": plan.to_result(),
        "kept": [dataclasses.asdict(kept) for kept in plan.kept],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **spec.CONNECTION,
            "store": {"type": "path"},
            "orphans": {"type": "bool", "default": True},
            "partials": {"type": "bool", "default": True},
            "min_age": {"type": "int", "default": 3600},
            "unlisted": {"type": "bool", "default": False},
            "keep": {"type": "list", "elements": "str", "default": []},
            "snapshots": {"type": "bool", "default": False},
        },
        required_if=[("orphans", True, ["store"]), ("partials", True, ["store"])],
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_server_info
short_description: Tell how an Ollama server is doing
version_added: 0.1.0
description:
  - Tells the version of an Ollama server, what it has in memory and whether that is the memory of
    a GPU, and how many models are installed.
  - With O(store), also tells how the disk is used.
  - Nothing is loaded or unloaded for it, so it disturbs nobody.
extends_documentation_fragment:
  - edgellm.host._connection
  - edgellm.host._attributes
  - edgellm.host._attributes.read_only
  - edgellm.host._attributes.actiongroup_ollama
options:
  store:
    description:
      - The folder on the managed host that the server knows as E(OLLAMA_MODELS), for example
        V(/srv/edgellm/data/models).
      - With it, RV(store) is told. It is only read.
    type: path
seealso:
  - module: edgellm.host.ollama_model_info
  - module: edgellm.host.ollama_model_prune
  - module: edgellm.host.ollama_probe
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: See what is loaded, and where
  edgellm.host.ollama_server_info:
  register: ollama

- name: See how much disk the models take
  edgellm.host.ollama_server_info:
    store: /srv/edgellm/data/models
  become: true
"""

RETURN = r"""
version:
  description: The version of the server.
  returned: success
  type: str
  sample: 0.32.15
url:
  description: Where the server was asked.
  returned: success
  type: str
  sample: http://127.0.0.1:11434
models:
  description: The installed models in numbers.
  returned: success
  type: dict
  contains:
    count:
      description: How many names are installed.
      type: int
      sample: 4
    distinct:
      description: How many models these are. Names with the same digest are one model.
      type: int
      sample: 3
    snapshots:
      description: How many of the names are kept or staged versions of another one, such as
        V(bge-m3:latest-prev-790764642607).
      type: int
      sample: 1
running:
  description:
    - What is loaded in memory, in the order of the server.
    - Models that share their weights are one entry, under the name that was used last.
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
      description: How many bytes of memory it takes.
      type: int
      sample: 1321082880
    size_vram:
      description: How many of them are a GPU's.
      type: int
      sample: 1321082880
    processor:
      description: Where it is, in the words of C(ollama ps).
      type: str
      sample: 37% CPU / 63% GPU
    gpu_share:
      description: The share in percent that is in the memory of a GPU, never rounded up, or
        V(none) if the server tells numbers that cannot be.
      type: float
      sample: 63.2
    context_length:
      description: The context it was loaded with, or V(none) if the server does not tell it.
      type: int
      sample: 4096
    expires_at:
      description: When it is unloaded if nobody asks it anything. A model that stays for ever has
        a year after 2300.
      type: str
      sample: "2026-08-21T10:30:00.123456789+09:00"
store:
  description:
    - How the disk is used.
    - Numbers of bytes are what is really on the disk. Of a download in progress that is less than
      the length of its file.
  returned: when O(store) is given
  type: dict
  contains:
    path:
      description: The folder.
      type: str
      sample: /srv/edgellm/data/models
    disk_size:
      description: The size of the file system.
      type: int
      sample: 983350071296
    disk_free:
      description: How much of it is free.
      type: int
      sample: 501437652992
    models:
      description: What each model takes.
      type: list
      elements: dict
      contains:
        name:
          description: The name as the server lists it.
          type: str
          sample: bge-m3:latest
        size:
          description: The bytes of its blobs that are on the disk.
          type: int
          sample: 1157672605
        own:
          description: The bytes that would come free if only this model were removed.
          type: int
          sample: 1157672605
    blobs:
      description: All blobs.
      type: dict
      contains:
        count:
          description: How many.
          type: int
          sample: 12
        size:
          description: Their bytes.
          type: int
          sample: 11053400064
    orphans:
      description: The blobs that no model needs, or V(none) if there are RV(store.broken).
      type: dict
      contains:
        count:
          description: How many.
          type: int
          sample: 0
        size:
          description: Their bytes.
          type: int
          sample: 0
    partials:
      description: Downloads and uploads that are in progress or were broken off.
      type: dict
      contains:
        count:
          description: How many.
          type: int
          sample: 0
        size:
          description: Their bytes.
          type: int
          sample: 0
    broken:
      description: Files among the manifests that are none. While there are any, nobody knows
        which blobs are needed.
      type: list
      elements: dict
      contains:
        path:
          description: The file.
          type: str
          sample: /srv/edgellm/data/models/manifests/registry.ollama.ai/library/x/latest
        error:
          description: What is wrong with it.
          type: str
          sample: "Expecting value: line 1 column 1 (char 0)"
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, snapshots, spec
from ansible_collections.edgellm.host.plugins.module_utils.ollama.answer import (
    gpu_share,
    processor,
)
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Installed
from ansible_collections.edgellm.host.plugins.module_utils.ollama.store import (
    Contents,
    File,
    Store,
    freed_by,
)
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def tell_running(entry: dict[str, t.Any]) -> dict[str, object]:
    name = names.parse(str(entry.get("name") or entry.get("model")))
    size, size_vram = int(entry.get("size") or 0), int(entry.get("size_vram") or 0)
    return {
        "name": name.short,
        "full_name": name.full,
        "digest": str(entry.get("digest", "")),
        "size": size,
        "size_vram": size_vram,
        "processor": processor(size, size_vram),
        "gpu_share": gpu_share(size, size_vram),
        "context_length": entry.get("context_length") or None,
        "expires_at": str(entry.get("expires_at", "")),
    }


def tell_models(installed: list[Installed]) -> dict[str, int]:
    return {
        "count": len(installed),
        "distinct": len({model.digest for model in installed}),
        "snapshots": sum(snapshots.origin_of(model.name) is not None for model in installed),
    }


def tell_store(store: Store) -> dict[str, object]:
    contents, disk = store.read(), store.disk()
    partials = [*contents.partials.values(), *((stray,) for stray in contents.strays)]
    orphans = contents.orphans
    return {
        "path": str(store.root),
        "disk_size": disk.size,
        "disk_free": disk.free,
        "models": tell_usage(contents),
        "blobs": count(contents.blobs.values()),
        "orphans": None if orphans is None else count(orphans.values()),
        "partials": {
            "count": len(partials),
            "size": sum(file.on_disk for files in partials for file in files),
        },
        "broken": [{"path": str(entry.path), "error": entry.error} for entry in contents.broken],
    }


def tell_usage(contents: Contents) -> list[dict[str, object]]:
    return [
        {
            "name": entry.name.short,
            "size": sum(file.on_disk for file in contents.files_of(entry)),
            "own": freed_by(contents.only_in([entry.name.key]).values()),
        }
        for entry in contents.manifests
        if entry.name and entry.manifest
    ]


def count(files: t.Collection[File]) -> dict[str, int]:
    return {"count": len(files), "size": sum(file.on_disk for file in files)}


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    store = Store(Path(params["store"])) if params["store"] else None
    if store:
        store.check()
    with spec.connect(params) as client:
        result = {
            "changed": False,
            "version": client.version(),
            "url": client.url,
            "models": tell_models(client.tags()),
            "running": [tell_running(entry) for entry in client.running()],
        }
    if store:
        result["store"] = tell_store(store)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={**spec.CONNECTION, "store": {"type": "path"}},
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

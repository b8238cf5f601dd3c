#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: models_lock
short_description: Write down which models were deployed and have answered
version_added: 0.1.0
description:
  - Keeps the lock of a catalogue, the file C(models.lock.yml), and beside it in C(manifests/) the
    manifest of every model from a registry, byte for byte. P(edgellm.host.catalogue#lookup) reads
    it.
  - Models that the lock lacks are added. What it says of the others stays, unless they are named
    in O(update); a host that has something else is told in RV(drift).
  - When hosts have different models under one name, the first one is taken and the others are told
    in RV(drift). Several hosts may run this at the same time. To change the lock, run it once for
    all hosts.
  - Runs on the controller and asks no host. A file whose content stays is not written.
options:
  dir:
    description:
      - The directory of the catalogue on the controller. It is made if need be.
    type: path
    required: true
  entries:
    description:
      - What hosts serve, and what has answered there. Each entry has one of O(entries[].registry),
        O(entries[].gguf) and O(entries[].from).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the model, V([host/][namespace/]model[:tag]).
        type: str
        required: true
      host:
        description: Whose model it is, for RV(drift).
        type: str
      digest:
        description: The digest that the server lists.
        type: str
        required: true
      registry:
        description: The name under which the model was pulled. A mirror's name does not belong
          here.
        type: str
      manifest:
        description: The manifest of a model from a registry, to the letter, as it lies in the store
          of the server.
        type: str
      gguf:
        description: The GGUF file that the model was created from.
        type: dict
        suboptions:
          repo:
            description: The repository it is in.
            type: str
          url:
            description: Where it is, if not in a repository.
            type: str
          file:
            description: Its path in the repository.
            type: str
          commit:
            description: The commit of the repository.
            type: str
          sha256:
            description: Its SHA-256.
            type: str
            required: true
          size:
            description: Its size in bytes.
            type: int
            required: true
      from:
        description: The model that the model was made from.
        type: dict
        suboptions:
          name:
            description: The name of the base.
            type: str
            required: true
          digest:
            description: The digest of the base.
            type: str
            required: true
      spec:
        description: The hash of everything that a created model was made from, as
          M(edgellm.host.ollama_model) records it.
        type: str
      server_version:
        description:
          - The version of the server that created the model, which need not be the version that
            serves it now.
          - The digest of a created model counts for one version only. Each version's is kept.
        type: str
      import_method:
        description: How the weights came into the store. The digest of a model that was linked is
          the same everywhere, and needs no O(entries[].server_version).
        type: str
        choices: [api, link]
  update:
    description:
      - Names of models whose entries may be replaced by what the hosts have.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Can run in check mode and predict the change without making it.
    support: full
  diff_mode:
    description: Tells in diff mode what changed, or in check mode what would change.
    support: full
  idempotent:
    description: When run twice with the same arguments, and nothing else changed in between, the
      second run changes nothing.
    support: full
seealso:
  - plugin: edgellm.host.catalogue
    plugin_type: lookup
  - module: edgellm.host.ollama_model
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Read the manifest
  ansible.builtin.slurp:
    src: /srv/edgellm/data/models/manifests/registry.ollama.ai/library/bge-m3/latest
  register: stored

- name: Add what is new
  edgellm.host.models_lock:
    dir: "{{ inventory_dir }}/../models"
    entries:
      - name: bge-m3
        host: "{{ inventory_hostname }}"
        registry: bge-m3
        digest: "{{ bge_m3.model.digest }}"
        manifest: "{{ stored.content | ansible.builtin.b64decode }}"

- name: Take what the last batch of hosts has
  edgellm.host.models_lock:
    dir: "{{ inventory_dir }}/../models"
    entries: "{{ ansible_play_hosts_all | map('extract', hostvars, 'models_deployed') | flatten }}"
    update: [bge-m3]
  run_once: true
"""

RETURN = r"""
path:
  description: The lock.
  returned: success
  type: str
  sample: /home/me/edgellm/models/models.lock.yml
added:
  description: Models that the lock did not have, or not with this version of the server.
  returned: success
  type: list
  elements: str
  sample: ["bge-m3:latest"]
replaced:
  description: Models whose entry was replaced.
  returned: success
  type: list
  elements: str
  sample: []
unchanged:
  description: Models that are as they were locked.
  returned: success
  type: list
  elements: str
  sample: ["qwen2.5:7b-instruct"]
drift:
  description: What differs from the lock, and was not written.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The model.
      type: str
      sample: bge-m3:latest
    host:
      description: The host, or V(none) if the entry had none.
      type: str
      sample: box2
    what:
      description: What is different.
      type: str
      sample: digest
    locked:
      description: What is locked.
      type: str
      sample: 7907646426070047a77226ac3e684fbbe8410524f7b4a74d02837e43f2146bab
    found:
      description: What the host has.
      type: str
      sample: 845dbda0ea48ed749caafd9e6037047aa19acfcfd82e704d7ca97d631a0b697e
    why:
      description: Who or what stands against it.
      type: str
      sample: by box1 now
    message:
      description: All that in a sentence.
      type: str
      sample: "box2: bge-m3:latest has the digest 845dbda0…, but 79076464… is locked by box1 now."
"""

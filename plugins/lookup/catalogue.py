# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: catalogue
short_description: Read model specs from the catalogue
version_added: 0.1.0
description:
  - Turns the entries of a list of models into specs, one for each model. An entry is the name of a
    folder of the catalogue with a C(model.yml), or the name of a model in a registry.
  - An entry that contains V(/) or V(:) is always a registry name. When a model of the catalogue has
    that name, its spec is returned.
  - Every C(model.yml) is checked; an unknown key or a wrong type is refused with file and line. So
    is a Modelfile that Ollama could not read, or that names another file or base than the spec.
  - Each spec comes with what the lock of O(models_dir) says of the model. A lock that is not whole
    is refused; one that the catalogue contradicts is told in RV(_raw[].lock.stale).
  - A model that is asked for twice is returned once. Use C(query) rather than C(lookup), which
    returns a single spec bare instead of a list.
options:
  _terms:
    description: Folders of the catalogue or registry names.
    type: list
    elements: str
    required: true
  models_dir:
    description:
      - The catalogue's directory. It need not exist.
      - The catalogue that comes with this collection serves what is not found there. The lock is
        read from here alone.
    type: path
requirements:
  - PyYAML
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Show what is served
  ansible.builtin.debug:
    msg: "{{ query('edgellm.host.catalogue', 'bge-m3', 'llama3.2:3b') | map(attribute='name') }}"

- name: Pull every model of the list that comes from a registry
  edgellm.host.ollama_model:
    name: "{{ item.name }}"
    registry: "{{ item.source.registry }}"
  loop: >-
    {{ query('edgellm.host.catalogue', *ollama_models_list, models_dir='/srv/models')
       | selectattr('source.registry') }}
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
_raw:
  description: The specs, in the order of the entries. but a model that another one is made from
    comes before that.
  type: list
  elements: dict
  contains:
    name:
      description: The name under which the model is served.
      type: str
      sample: qwen2.5:7b-instruct
    folder:
      description: Its folder in the catalogue, V(none) for a bare registry name.
      type: str
      sample: qwen2.5-7b-instruct
    description:
      description: What the model is; may be empty.
      type: str
      sample: General chat model, 7B parameters.
    source:
      description:
        - Where the weights come from. All of C(registry), C(gguf) and C(from) but one are V(none).
        - C(registry) is the name to pull, and C(digest) the digest that it must have, V(none) where
          the spec does not say.
        - C(from) is the name of the model that this one is made from.
        - C(gguf) is a file in a repository on Hugging Face, or at an address. It has the keys
          C(repo), C(file), C(revision), C(sha256), C(size) and C(url), which are V(none) where the
          spec does not say.
      type: dict
      sample: {registry: qwen2.5:7b-instruct, digest: null, gguf: null, from: null}
    modelfile:
      description: The text of the Modelfile with LF line ends, V(none) where there is none.
      type: str
      sample: |
        FROM /models/tiny/tiny-q4_k_m.gguf
        PARAMETER temperature 0.7
    import_method:
      description: How a GGUF file comes into the store, V(none) where the spec does not say.
      type: str
      sample: auto
    probe:
      description: The request that proves the model, and what the answer must be like, in the
        options of M(edgellm.host.ollama_probe). All but C(kind) are V(none) where the spec does not
        say.
      type: dict
      sample:
        kind: chat
        prompt: 自己紹介を1段落、です・ます調で。
        system: null
        format: null
        expect: null
        expect_language: ja
        min_tokens: null
        dimensions: null
        require_gpu: null
    lock:
      description: What the lock says of the model, V(none) if it is not there. What does not go
        with the source of the model is V(none), too.
      type: dict
      contains:
        registry:
          description: The complete name that was pulled.
          type: str
          sample: registry.ollama.ai/library/qwen2.5:7b-instruct
        digest:
          description: The digest of a model from a registry.
          type: str
          sample: 845dbda0ea48ed749caafd9e6037047aa19acfcfd82e704d7ca97d631a0b697e
        size:
          description: The size of a model from a registry, in bytes.
          type: int
          sample: 4683087332
        manifest:
          description: The file on the controller that is the manifest of a model from a registry.
          type: path
          sample: /srv/models/manifests/sha256-845dbda0(...).json
        gguf:
          description: The GGUF file that the model was created from, C(sha256), C(size) and, where
            known, C(repo), C(url), C(file) and C(commit).
          type: dict
          sample: null
        from:
          description: The base that the model was made from, C(name) and C(digest).
          type: dict
          sample: null
        spec:
          description: The hash of everything that a created model was made from.
          type: str
          sample: null
        digests:
          description: The digests of a created model, by the version of the server that created it,
            or under C(link).
          type: dict
          sample: null
        stale:
          description: What the catalogue says otherwise, and what to do, in a sentence. V(none) if
            it agrees.
          type: str
          sample: null
"""

import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError
from ansible_collections.edgellm.host.plugins.plugin_utils import lock
from ansible_collections.edgellm.host.plugins.plugin_utils.catalogue import (
    load,
    select,
    with_lock,
)

_SHIPPED = Path(__file__).resolve().parents[2] / "models"


class LookupModule(LookupBase):
    def run(
        self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, t.Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        entries = self._flatten(terms)
        for entry in entries:
            if not isinstance(entry, str):
                raise AnsibleError(
                    f"edgellm.host.catalogue: {entry!r} is not a name. An entry is a folder of the "
                    "catalogue or a model of a registry; put a number in quotes."
                )
        own = self.get_option("models_dir")
        directories = [Path(own), _SHIPPED] if own else [_SHIPPED]
        try:
            specs = select(entries, load(directories), directories)
            if own:
                locked = lock.load(Path(own))
                specs = [with_lock(spec, locked) for spec in specs]
        except EdgellmError as error:
            raise AnsibleError(f"edgellm.host.catalogue: {error}") from error
        return [spec.to_result() for spec in specs]

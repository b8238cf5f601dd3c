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
    is a Modelfile that Ollama could not read, or that names another file than the spec.
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
      - The catalogue that comes with this collection serves what is not found there.
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
  description: The specs, in the order of the entries.
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
        - Where the weights come from. One of C(registry) and C(gguf) is V(none).
        - C(registry) is the name to pull.
        - C(gguf) is a file in a repository on Hugging Face, or at an address. It has the keys
          C(repo), C(file), C(revision), C(sha256), C(size) and C(url), which are V(none) where the
          spec does not say.
      type: dict
      sample: {registry: qwen2.5:7b-instruct, gguf: null}
    modelfile:
      description: The text of the Modelfile with LF line ends, V(none) where there is none.
      type: str
      sample: |
        FROM /models/tiny/tiny-q4_k_m.gguf
        PARAMETER temperature 0.7
    probe:
      description: C(kind), C(prompt) and C(system) of the request that proves the model. C(prompt)
        and C(system) are V(none) where the spec does not say.
      type: dict
      sample: {kind: chat, prompt: 自己紹介を1段落、です・ます調で。, system: null}
"""

import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError
from ansible_collections.edgellm.host.plugins.plugin_utils.catalogue import load, select

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
        except EdgellmError as error:
            raise AnsibleError(f"edgellm.host.catalogue: {error}") from error
        return [spec.to_result() for spec in specs]

#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_image_info
short_description: Tell how much a container image would be to fetch
version_added: 0.1.0
description:
  - Asks a registry for an image's digest and its compressed size for one architecture.
  - Needs no container engine and fetches no layers, so it also runs on the controller, to plan for
    hosts that have nothing yet.
  - Docker Hub counts this as a pull; it limits how many anonymous callers may make in an hour.
extends_documentation_fragment:
  - edgellm.host._attributes
  - edgellm.host._attributes.read_only
options:
  image:
    description: The image, V([registry/][namespace/]repository[:tag][@sha256:...]).
    type: str
    required: true
  mirror:
    description:
      - Address of a mirror of Docker Hub to ask instead of it, V(http://host[:port]) or
        V(https://host[:port]).
      - Images of other registries are not asked for there, just as the engine does not.
    type: str
  architecture:
    description: The architecture, in the kernel's word or the registries', such as V(x86_64),
      V(amd64), V(aarch64) or V(arm64).
    type: str
    default: amd64
  timeout:
    description: How many seconds the registry may stay silent.
    type: int
    default: 30
requirements:
  - python >= 3.10
  - httpx >= 0.22
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: See how much the container image of Ollama would be to fetch
  edgellm.host.oci_image_info:
    image: docker.io/ollama/ollama:0.32.15
  delegate_to: localhost
  register: found

- name: Say it
  ansible.builtin.debug:
    msg: "{{ found.size | ansible.builtin.human_readable }}"

- name: Ask a mirror of Docker Hub on the LAN, for an ARM host
  edgellm.host.oci_image_info:
    image: ollama/ollama:0.32.15
    architecture: arm64
    mirror: http://192.0.2.1:5000
  delegate_to: localhost
"""

RETURN = r"""
reference:
  description: The image's complete name.
  returned: success
  type: str
  sample: docker.io/ollama/ollama:0.32.15
digest:
  description: What the name stands for now; an image pinned to it stays the same.
  returned: success
  type: str
  sample: sha256:7c5b2d8d0e8e1b7a9f0c3a4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7081
platform_digest:
  description: The part of it that is for the architecture; the same as RV(digest) for an image that
    is made for one alone.
  returned: success
  type: str
  sample: sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0
architecture:
  description: The architecture in the registries' word.
  returned: success
  type: str
  sample: amd64
size:
  description: Compressed bytes of all its layers and its configuration; layers that a host has
    already are not fetched again.
  returned: success
  type: int
  sample: 2184512345
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils import oci
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    reference = oci.parse_reference(params["image"])
    image = oci.look_up(
        reference,
        oci.base_url(reference, params["mirror"]),
        architecture=params["architecture"],
        timeout=params["timeout"],
    )
    return {"changed": False, **dataclasses.asdict(image)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "mirror": {"type": "str"},
            "architecture": {"type": "str", "default": "amd64"},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()

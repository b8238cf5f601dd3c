#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nvidia_cdi
short_description: Have the CDI specification of the host's NVIDIA GPUs fit the host
version_added: 0.1.0
description:
  - Container engines give a container a GPU by a file that says which devices and libraries belong
    to it, the CDI specification. It is wrong as soon as the driver, the GPUs or the numbers of
    their devices change, and a container then starts without its GPU or not at all.
  - Compares the file with what C(nvidia-ctk cdi generate) would write at this moment, with the
    settings of C(/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env).
  - When they differ, or there is no file, C(nvidia-cdi-refresh.service) is restarted. Where the
    toolkit has no such service, or it does not write the file, C(nvidia-ctk) is run.
  - Other files that describe the same GPUs are renamed to C(<name>.disabled), because an engine
    that reads two mixes them or refuses both. Files of other vendors and classes are left alone.
  - Containers that run already keep the devices they were given.
extends_documentation_fragment:
  - edgellm.host._attributes
options:
  path:
    description:
      - The specification. Its name ends in C(.yaml) or C(.json).
      - By default the file that C(nvidia-cdi-refresh.service) writes, which is
        C(/var/run/cdi/nvidia.yaml) unless its settings say otherwise. Where that service exists,
        another path is refused, since there would be two files.
    type: path
  spec_dirs:
    description: The directories whose specifications the container engine reads.
    type: list
    elements: path
    default: [/etc/cdi, /var/run/cdi]
attributes:
  check_mode:
    support: full
    details: Where C(nvidia-ctk) is not installed yet, check mode predicts a change; outside check
      mode the task fails.
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - python >= 3.10
  - NVIDIA Container Toolkit (C(nvidia-ctk)) >= 1.14
seealso:
  - module: edgellm.host.gpu_info
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Have containers find the GPUs that the host has now
  edgellm.host.nvidia_cdi:
  register: cdi

- name: Recreate the containers that were started with the previous devices
  when: cdi is changed
  ansible.builtin.debug:
    msg: "{{ cdi.reasons | join('; ') }}"

- name: Write the specification of a host whose toolkit has no service for it
  edgellm.host.nvidia_cdi:
    path: /etc/cdi/nvidia.yaml
"""

RETURN = r"""
path:
  description: The specification.
  returned: success, and failure where it was written and is not right
  type: str
  sample: /var/run/cdi/nvidia.yaml
devices:
  description: Names of the devices that the file offers now, or would offer. Empty when
    C(nvidia-ctk) is not installed yet.
  returned: success
  type: list
  elements: str
  sample: ["0", GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c, all]
reasons:
  description: Why something was changed, one sentence each; empty when nothing was.
  returned: success, and failure where the file is still not right
  type: list
  elements: str
  sample: ["/var/run/cdi/nvidia.yaml was made for driver 550.163.01, now it is 580.95.05"]
moved:
  description: Files that described the same GPUs, each with the name it has now, or would have.
  returned: success
  type: dict
  sample: {/etc/cdi/nvidia.yaml: /etc/cdi/nvidia.yaml.disabled}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.gpu import cdi, cdi_file
from ansible_collections.edgellm.host.plugins.module_utils.run import run

ROOT = "/"


def work(module: AnsibleModule) -> dict[str, object]:
    path = module.params["path"]
    if path and not path.endswith((".yaml", ".json")):
        module.fail_json(msg=f"path must end in .yaml or .json, else no engine reads it: {path}")
    outcome = cdi_file.present(
        path, module.params["spec_dirs"], check_mode=module.check_mode, root=ROOT
    )
    for warning in outcome.warnings:
        module.warn(warning)
    return outcome.to_result()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            "spec_dirs": {"type": "list", "elements": "path", "default": list(cdi.SPEC_DIRS)},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()

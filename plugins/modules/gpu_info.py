#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Read which NVIDIA GPUs a host has and what is wrong with them
version_added: 0.1.0
description:
  - Reads the PCI bus, C(nvidia-smi), the CDI specification and the packages of the NVIDIA Container
    Toolkit in one go, and names what is wrong, each with its cause and the command that mends it.
  - Needs no NVIDIA software on the host and changes nothing. Run it with root's rights, else
    C(nvidia-ctk) may not see what it needs.
extends_documentation_fragment:
  - edgellm.host._attributes
  - edgellm.host._attributes.read_only
options:
  cdi_path:
    description: The CDI specification. By default the file that C(nvidia-cdi-refresh.service)
      writes.
    type: path
requirements:
  - python >= 3.10
seealso:
  - module: edgellm.host.nvidia_cdi
  - module: edgellm.host.host_info
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Look at the GPUs
  edgellm.host.gpu_info:
  register: found

- name: Refuse a host whose GPU does not work
  ansible.builtin.assert:
    that: not found.gpu.problems
    fail_msg: "{{ found.gpu.problems[0].explanation }} {{ found.gpu.problems[0].remedy }}"
"""

RETURN = r"""
gpu:
  description: The GPUs and everything between them and a container.
  returned: success
  type: dict
  contains:
    platform:
      description: V(wsl2) in the Windows Subsystem for Linux, V(native) elsewhere.
      type: str
      sample: native
    pci_devices:
      description: NVIDIA GPUs on the PCI bus. In WSL2 there are none.
      type: int
      sample: 1
    driver_version:
      description: The driver's version; of the loaded kernel module where C(nvidia-smi) does not
        work, V(none) without either.
      type: str
      sample: 580.95.05
    nvidia_smi:
      description: How C(nvidia-smi) does.
      type: dict
      contains:
        program:
          description: Its path, V(none) when it is not installed.
          type: str
          sample: /usr/bin/nvidia-smi
        problem:
          description: V(none), or one of V(not_installed), V(driver_library_mismatch),
            V(driver_not_loaded), V(no_devices), V(nvml_unknown_error), V(no_permission), V(timeout)
            and V(failed).
          type: str
          sample: null
        message:
          description: What it said when there is a problem, else empty.
          type: str
          sample: ""
    gpus:
      description: The GPUs that the driver knows. A value that C(nvidia-smi) cannot tell is
        V(none), or empty where it is text.
      type: list
      elements: dict
      contains:
        index:
          description: Its number.
          type: int
          sample: 0
        uuid:
          description: Its name that stays.
          type: str
          sample: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c
        name:
          description: What it is.
          type: str
          sample: NVIDIA GeForce RTX 4060
        driver_version:
          description: Version of its driver.
          type: str
          sample: 580.95.05
        memory_total:
          description: Bytes of memory.
          type: int
          sample: 8585740288
        memory_used:
          description: Bytes in use.
          type: int
          sample: 524288000
    processes:
      description: Processes that compute on a GPU. In WSL2 the driver tells of none, or not how
        much memory they use.
      type: list
      elements: dict
      contains:
        pid:
          description: Its number on the host.
          type: int
          sample: 4211
        gpu_uuid:
          description: The GPU it uses.
          type: str
          sample: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c
        name:
          description: Its program, empty where the driver cannot tell.
          type: str
          sample: /usr/bin/ollama
        memory_used:
          description: Bytes of the GPU's memory it uses, V(none) where the driver cannot tell.
          type: int
          sample: 5274337280
    cdi:
      description: The CDI specification, by which engines give GPUs to containers.
      type: dict
      contains:
        path:
          description: The file.
          type: str
          sample: /var/run/cdi/nvidia.yaml
        present:
          description: Whether it is there.
          type: bool
          sample: true
        fresh:
          description: Whether it says what C(nvidia-ctk) would write now. V(false) where that
            cannot be found out.
          type: bool
          sample: true
        devices:
          description: Names of the devices it offers.
          type: list
          elements: str
          sample: ["0", GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c, all]
        strays:
          description: Other files that describe the same GPUs.
          type: list
          elements: str
          sample: []
    toolkit:
      description: Version of each package of the NVIDIA Container Toolkit, V(none) when it is not
        installed.
      type: dict
      sample:
        nvidia-container-toolkit: 1.20.0-1
        nvidia-container-toolkit-base: 1.20.0-1
        libnvidia-container-tools: 1.20.0-1
        libnvidia-container1: 1.20.0-1
    problems:
      description: What is wrong, causes before what they cause; empty when all is well, or when
        there is no GPU.
      type: list
      elements: dict
      contains:
        code:
          description: V(gpu_without_driver), V(driver_library_mismatch), V(driver_not_loaded),
            V(nvml_unknown_error), V(no_permission), V(smi_timeout), V(no_devices), V(smi_failed),
            V(toolkit_versions_differ), V(cdi_failed), V(cdi_missing), V(cdi_stale) or V(cdi_stray).
          type: str
          sample: driver_library_mismatch
        explanation:
          description: What it is and what follows from it.
          type: str
          sample: "The driver's libraries were upgraded, but the kernel still runs the previous
            driver."
        remedy:
          description: What to type on the host.
          type: str
          sample: sudo reboot
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.gpu import facts
from ansible_collections.edgellm.host.plugins.module_utils.gpu.findings import findings

ROOT = "/"


def main() -> None:
    module = AnsibleModule(
        argument_spec={"cdi_path": {"type": "path"}},
        supports_check_mode=True,
    )
    found = facts.read(ROOT, cdi_path=module.params["cdi_path"])
    problems = [asdict(finding) for finding in findings(found)]
    module.exit_json(changed=False, gpu={**facts.to_result(found), "problems": problems})


if __name__ == "__main__":
    main()

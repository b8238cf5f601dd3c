#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Read what a host is and has before anything is installed on it
version_added: 0.1.0
description:
  - Reads operating system, memory, installed packages, listening ports, systemd units, disks,
    container engine and NVIDIA devices in one go.
  - Needs nothing but Python on the host and changes nothing. Run it with root's rights, else the
    holder of a port may stay unknown and the engine may refuse to answer.
extends_documentation_fragment:
  - edgellm.host._attributes
  - edgellm.host._attributes.read_only
options:
  packages:
    description: Debian packages whose installed version is asked for.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports whose holder is asked for.
    type: list
    elements: int
    default: []
  containers:
    description: Names of containers to look for, running or not.
    type: list
    elements: str
    default: []
  units:
    description: Systemd units whose state is asked for.
    type: list
    elements: str
    default: []
  paths:
    description: Absolute paths, existing or not, whose disk is asked for.
    type: list
    elements: str
    default: []
  reach:
    description: URLs of web services to try from the host. Any HTTP answer counts, an error status
      too.
    type: list
    elements: str
    default: []
requirements:
  - python >= 3.10
seealso:
  - module: ansible.builtin.setup
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: See whether Ollama's port is free and where its data would lie
  edgellm.host.host_info:
    ports: [11434]
    paths: [/srv/edgellm]
  register: found

- name: Refuse a port that somebody holds
  ansible.builtin.assert:
    that: found.host.ports['11434'] is none
    fail_msg: The port is held by {{ found.host.ports['11434'].process }}.

- name: See whether Docker's package repository can be reached from the host
  edgellm.host.host_info:
    reach: [https://download.docker.com]
"""

RETURN = r"""
host:
  description: What the host is and has.
  returned: success
  type: dict
  contains:
    os:
      description: The operating system in the words of os-release(5); empty text for what it does
        not say.
      type: dict
      contains:
        id:
          description: Short name of the distribution.
          type: str
          sample: debian
        version_id:
          description: Its version.
          type: str
          sample: "13"
        codename:
          description: Its code name.
          type: str
          sample: trixie
        pretty_name:
          description: Its name for people.
          type: str
          sample: Debian GNU/Linux 13 (trixie)
    architecture:
      description: The machine's architecture in the kernel's word.
      type: str
      sample: x86_64
    python:
      description: Version of the Python that runs modules.
      type: str
      sample: 3.13.5
    systemd:
      description: Whether systemd manages the system; installed is not enough.
      type: bool
      sample: true
    wsl:
      description: Whether this is the Windows Subsystem for Linux.
      type: bool
      sample: false
    memory_bytes:
      description: Main memory.
      type: int
      sample: 33545891840
    packages:
      description: Version of each package in O(packages), V(none) when it is not installed.
      type: dict
      sample: {python3-httpx: 0.28.1-1, docker-ce: null}
    ports:
      description:
        - Holder of each port in O(ports) (keys are text), V(none) when the port is free. When
          several listen, the widest address is told. A port that a container publishes is told with
          the container's name.
        - C(pid) and C(process) are V(none) where the user may not see them, or nobody listens and
          the packet filter forwards.
      type: dict
      sample:
        "11434": {address: 127.0.0.1, pid: 812, process: docker-proxy, container: ollama}
    units:
      description: State of each unit in O(units), in systemd's words.
      type: dict
      sample: {docker.service: {load: loaded, active: active}}
    paths:
      description:
        - Disk of each path in O(paths). C(mount_point) is where the path lies or will lie,
          C(is_mount) tells whether the path itself is a mount point, C(free_bytes) is what an
          ordinary user may still write.
      type: dict
      sample:
        /srv/edgellm:
          exists: true
          mount_point: /srv/edgellm
          is_mount: true
          fstype: ext4
          total_bytes: 1967317549056
          free_bytes: 1867317549056
    docker:
      description: The container engine.
      type: dict
      contains:
        installed:
          description: Whether an engine is on the host.
          type: bool
          sample: true
        running:
          description: Whether it answers.
          type: bool
          sample: true
        version:
          description: Its version, V(none) when it does not answer.
          type: str
          sample: 29.7.2
        error:
          description: Why it does not answer, V(none) when it does.
          type: str
          sample: null
        containers:
          description: Each container in O(containers), V(none) when there is none of that name.
          type: dict
          sample:
            ollama:
              id: 3f4c6a1de7b1
              image: ollama/ollama:0.32.15
              state: running
              project: ollama
              labels: {com.docker.compose.project: ollama}
        networks:
          description: Names of the engine's networks.
          type: list
          elements: str
          sample: [bridge, edge, host, none]
        cdi_spec_dirs:
          description: Directories in which it looks for CDI specifications; empty when it does not
            use CDI.
          type: list
          elements: str
          sample: [/etc/cdi, /var/run/cdi]
        runtimes:
          description: Names of the runtimes it can start containers with.
          type: list
          elements: str
          sample: [io.containerd.runc.v2, nvidia, runc]
    nvidia:
      description: NVIDIA hardware, read without NVIDIA software. C(devices) counts GPUs on the PCI
        bus.
      type: dict
      sample: {devices: 1, nvidia_smi: true}
    reach:
      description: For each URL in O(reach) why it cannot be reached, V(none) when it can.
      type: dict
      sample: {"https://download.docker.com": null}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.host.info import Questions, gather

_ASKED = {
    "packages": "str",
    "ports": "int",
    "containers": "str",
    "units": "str",
    "paths": "str",
    "reach": "str",
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            name: {"type": "list", "elements": kind, "default": []} for name, kind in _ASKED.items()
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, host=gather(Questions(**module.params)))


if __name__ == "__main__":
    main()

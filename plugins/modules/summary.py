#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: summary
short_description: Show what was done, or would be, as a table for people
version_added: 0.1.0
description:
  - Prints one block for each host, with its endpoint, its models and what they answered, or in
    O(mode=plan) with the steps to come, the bytes to fetch and the disk before and after. With
    O(mode=verify) it shows which promises hold.
  - Runs on the controller and asks no host. Check mode makes no difference.
options:
  hosts:
    description:
      - Host name and report of each host. A report is a dictionary; what it lacks is not shown.
      - C(endpoint), C(server_version), C(gpu) and C(disk) (C(path), C(free_bytes), C(total_bytes))
        describe the host. Without C(gpu), C(devices), the number of GPUs, and the probes tell.
      - C(models) is what M(edgellm.host.ollama_model) returned as
        RV(edgellm.host.ollama_model#module:model), C(probes) what M(edgellm.host.ollama_probe)
        returned as RV(edgellm.host.ollama_probe#module:probe); they are brought together by digest.
      - C(plan) lists steps, each with C(what), C(detail), C(bytes) to fetch (V(none) when unknown)
        and C(disk_bytes) where they take another amount of disk.
      - C(checks) lists promises, each with C(check), C(ok), what was C(found) and a C(remedy).
    type: dict
    required: true
  mode:
    description: Which page to show.
    type: str
    choices: [run, plan, verify]
    default: run
  dest:
    description: Directory on the controller for C(report.txt) and C(report.json). It is made if
      need be.
    type: path
attributes:
  check_mode:
    description: Can run in check mode and predict the change without making it.
    support: full
  diff_mode:
    description: Tells in diff mode what changed, or in check mode what would change.
    support: N/A
  idempotent:
    description: When run twice with the same arguments, and nothing else changed in between, the
      second run changes nothing.
    support: full
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Show what every host serves now
  edgellm.host.summary:
    hosts: "{{ {inventory_hostname: report} }}"
    dest: "{{ playbook_dir }}/build"

- name: Show what would happen to one host
  edgellm.host.summary:
    mode: plan
    hosts:
      box1:
        plan:
          - what: Docker Engine
            detail: docker-ce, docker-compose-plugin
            bytes:
          - what: Model
            detail: bge-m3
            bytes: 1157672605
        disk:
          path: /srv/edgellm
          free_bytes: 41200000000
          total_bytes: 100000000000
"""

RETURN = r"""
text:
  description: The page that was shown.
  returned: success
  type: str
  sample: "box1: nothing to do"
files:
  description: The files that were written.
  returned: success
  type: list
  elements: str
  sample: [/home/me/edgellm/build/report.txt, /home/me/edgellm/build/report.json]
"""

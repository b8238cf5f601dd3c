#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_watch
short_description: Have the program on a host that watches over the GPU
version_added: 0.1.0
description:
  - Writes a Python program of one file that looks at what M(edgellm.host.gpu_gate) looks at,
    without a new container and without a prompt, and prints what changed since it looked last.
  - It is made of the same code as that module, so that both say the same. It needs Python alone.
  - Run it from a systemd timer with C(python3 FILE --root /srv/edgellm). It exits 1 while a link
    is broken, and its options are shown by C(--help).
extends_documentation_fragment:
  - edgellm.host._attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The SHA-256 of the file, before and after.
  idempotent:
    support: full
options:
  dest:
    description: The file. Its folder must exist.
    type: path
    required: true
requirements:
  - python >= 3.10
seealso:
  - module: edgellm.host.gpu_gate
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Have the program
  edgellm.host.gpu_watch:
    dest: /usr/local/lib/edgellm-gpu-watch.pyz
  become: true
"""

RETURN = r"""
dest:
  description: The file.
  returned: success
  type: str
  sample: /usr/local/lib/edgellm-gpu-watch.pyz
sha256:
  description: Its SHA-256, in hexadecimal.
  returned: success
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

import hashlib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.atomic import write_bytes
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.gpu import watch_program
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def work(module: AnsibleModule) -> dict[str, object]:
    dest = Path(module.params["dest"])
    if dest.is_dir():
        raise Refused(f"dest is {dest}, which is a folder. Name a file in it.")
    wanted = watch_program.build()
    present = dest.read_bytes() if dest.exists() else None
    changed = present != wanted
    if changed and not module.check_mode:
        if not dest.parent.is_dir():
            raise Refused(f"dest is {dest}, but the folder {dest.parent} does not exist.")
        write_bytes(dest, wanted)
    return {
        "changed": changed,
        "dest": str(dest),
        "sha256": _sum(wanted),
        "diff": {
            "before_header": str(dest),
            "after_header": str(dest),
            "before": f"{_sum(present)}\n" if present is not None else "",
            "after": f"{_sum(wanted)}\n",
        },
    }


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    module = AnsibleModule(
        argument_spec={"dest": {"type": "path", "required": True}}, supports_check_mode=True
    )
    run(module, work)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_file in a process of its own, as Ansible starts it: python -m tests.bench.ours OPTIONS."""

from __future__ import annotations

import json
import sys

from ansible.module_utils import basic
from ansible_collections.edgellm.host.plugins.modules import gguf_file

if __name__ == "__main__":
    # What the wrapper does that Ansible sends to a host; its helper for tests imports too much.
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(sys.argv[1])}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    gguf_file.main()

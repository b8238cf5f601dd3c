# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options behind module_utils/ollama/spec.py. Private."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where the Ollama server listens.
      - If not set, the environment variable E(OLLAMA_URL) of the managed host is used.
      - Proxy settings of the environment are ignored for addresses of the machine itself.
    type: str
    default: http://127.0.0.1:11434
  timeout:
    description:
      - How many seconds the server may stay silent. This limits silence, not the whole work; a
        download may take hours as long as bytes keep coming.
      - Loading a large model from a slow disk is silence too.
    type: int
    default: 300
requirements:
  - python >= 3.10
  - httpx >= 0.23
"""

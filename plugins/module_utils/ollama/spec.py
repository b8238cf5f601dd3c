# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that every module about an Ollama server has. Private."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback

from .client import Client

CONNECTION: dict[str, t.Any] = {
    "url": {
        "type": "str",
        "default": "http://127.0.0.1:11434",
        "fallback": (env_fallback, ["OLLAMA_URL"]),
    },
    "timeout": {"type": "int", "default": 300},
}


def connect(params: t.Mapping[str, t.Any]) -> Client:
    """The client that the connection options describe."""
    return Client(params["url"], timeout=params["timeout"])

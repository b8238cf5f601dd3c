# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import binascii
import json
import typing as t
import uuid

DOCUMENTATION = r"""
name: tunnel_token
short_description: Whether a text can be the token of a Cloudflare tunnel
version_added: 0.1.0
description:
  - Checks the shape offline. A token is the Base64 of a JSON object with the account, the UUID of
    the tunnel and a secret of at least 32 bytes.
  - Whether the tunnel still exists only Cloudflare knows.
options:
  _input:
    description: The text.
    type: str
    required: true
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Refuse what cannot be a token
  ansible.builtin.assert:
    that: tunnel_token is edgellm.host.tunnel_token
"""

RETURN = r"""
_value:
  description: Whether it can be one.
  type: bool
"""

SHORTEST_SECRET = 32


def is_tunnel_token(value: t.Any) -> bool:
    """Whether cloudflared would accept this as a token before it asks anybody."""
    try:
        token = json.loads(base64.b64decode(str(value), validate=True))
        uuid.UUID(token["t"])
        secret = base64.b64decode(token["s"], validate=True)
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        return False
    return isinstance(token["a"], str) and bool(token["a"]) and len(secret) >= SHORTEST_SECRET


class TestModule:
    """The tests of this file by name."""

    def tests(self) -> dict[str, t.Callable[..., bool]]:
        return {"tunnel_token": is_tunnel_token}

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.edgellm.host.plugins.test.tunnel_token import is_tunnel_token

SECRET = base64.b64encode(b"s" * 32).decode()
GOOD = {"a": "0123456789abcdef", "t": "6ff42ae2-765d-4adf-8112-31c55c1551ef", "s": SECRET}


def encode(fields: object) -> str:
    return base64.b64encode(json.dumps(fields).encode()).decode()


def test_real_shape_is_accepted():
    assert is_tunnel_token(encode(GOOD))
    assert is_tunnel_token(encode({**GOOD, "e": "fed"}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eyJhIjoi",
        encode(GOOD)[:-8],
        encode("a word"),
        encode([]),
        encode({**GOOD, "t": "no uuid"}),
        encode({**GOOD, "t": 7}),
        encode({**GOOD, "a": ""}),
        encode({**GOOD, "s": base64.b64encode(b"short").decode()}),
        encode({"a": GOOD["a"], "t": GOOD["t"]}),
        json.dumps(GOOD),
    ],
)
def test_anything_else_is_not(text):
    assert not is_tunnel_token(text)

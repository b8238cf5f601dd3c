# SPDX-License-Identifier: GPL-3.0-or-later
"""Which texts are tokens, and which of those an edge would take."""

from __future__ import annotations

import base64
import json
import typing as t
import uuid

import pytest

from lab.cloudflared.token import MalformedToken, parse

TUNNEL = "9f7d4f6e-3a51-4f0d-9a56-0123456789ab"
SECRET = base64.b64encode(b"k" * 32).decode()
GOOD = {"a": "account!", "t": TUNNEL, "s": SECRET}


def encode(fields: object) -> str:
    return base64.b64encode(json.dumps(fields).encode()).decode()


def test_a_token() -> None:
    assert encode(GOOD).endswith("=")
    token = parse(encode({**GOOD, "e": "fed", "later": [1]}))
    assert (token.account, token.secret, token.tunnel) == ("account!", b"k" * 32, uuid.UUID(TUNNEL))
    assert token.refusal() is None
    assert "kkk" not in repr(token)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "{}",
        encode(GOOD) + "=",
        encode(GOOD).rstrip("="),
        encode(GOOD)[:-8],
        " " + encode(GOOD),
        encode(GOOD) + encode(GOOD),
        base64.urlsafe_b64encode(b'{"a":"\xff\xfe?>"}').decode(),
        base64.b64encode(b"{").decode(),
        base64.b64encode(b'{"x": NaN}').decode(),
        encode([GOOD]),
        encode("text"),
        encode({**GOOD, "a": 1}),
        encode({**GOOD, "t": "tunnel"}),
        encode({**GOOD, "t": TUNNEL[:-1]}),
        encode({**GOOD, "t": 7}),
        encode({**GOOD, "s": "%%%"}),
        encode({**GOOD, "s": SECRET.rstrip("=")}),
        encode({**GOOD, "e": {}}),
    ],
)
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(MalformedToken):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        encode({"A": "account!", "T": TUNNEL.upper(), "S": SECRET}),
        encode({**GOOD, "t": TUNNEL.replace("-", "")}),
        encode({**GOOD, "t": f"{{{TUNNEL}}}"}),
        encode(GOOD)[:20] + "\r\n" + encode(GOOD)[20:],
        encode({**GOOD, "e": None}),
    ],
)
def test_other_ways_to_write_the_same(text: str) -> None:
    assert parse(text) == parse(encode(GOOD))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"s": base64.b64encode(b"k" * 31).decode()}, "Unauthorized: Invalid tunnel secret"),
        ({"s": base64.b64encode(bytes(32)).decode()}, "Unauthorized: Invalid tunnel secret"),
        ({"s": None}, "Unauthorized: Invalid tunnel secret"),
        ({"a": ""}, "Unauthorized: Tunnel not found"),
        ({"t": None}, "Unauthorized: Tunnel not found"),
    ],
)
def test_tokens_that_no_edge_would_take(change: dict[str, t.Any], reason: str) -> None:
    assert parse(encode({**GOOD, **change})).refusal() == reason

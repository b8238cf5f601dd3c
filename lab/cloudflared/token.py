# SPDX-License-Identifier: GPL-3.0-or-later
"""Tunnel tokens: base64 of JSON, read as Go reads it; and what an edge would say to one."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import typing as t
import uuid

_SECRET_LENGTH = 32
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_UUID = re.compile(r"(?i)(urn:uuid:|\{)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?|[0-9a-f]{32}")


class MalformedToken(ValueError):
    """The text is no token."""


@dataclasses.dataclass(frozen=True)
class Token:
    account: str
    secret: bytes = dataclasses.field(repr=False)
    tunnel: uuid.UUID

    def refusal(self) -> str | None:
        """Why an edge would refuse the tunnel, as far as the token alone shows it."""
        if not self.account or not self.tunnel.int:
            return "Unauthorized: Tunnel not found"
        # A secret of zeros stands for one that was replaced: a revoked token looks like a good one.
        if len(self.secret) < _SECRET_LENGTH or not any(self.secret):
            return "Unauthorized: Invalid tunnel secret"
        return None


def parse(text: str) -> Token:
    """Return the token; fields that are not there are empty, fields of another type are wrong."""
    try:
        fields = json.loads(
            _decoded(text).decode("utf-8", "replace"), parse_constant=_no_such_constant
        )
    except (ValueError, RecursionError) as exc:
        raise MalformedToken(str(exc)) from exc
    if fields is not None and not isinstance(fields, dict):
        raise MalformedToken("not an object")
    # Go takes a field's name in any case.
    known = {str(name).lower(): value for name, value in (fields or {}).items()}
    _text(known.get("e"))
    return Token(
        account=_text(known.get("a")),
        secret=_decoded(_text(known.get("s"))),
        tunnel=_tunnel(known.get("t")),
    )


def _decoded(text: str) -> bytes:
    """Standard base64 with its padding; line ends may be anywhere."""
    joined = text.replace("\r", "").replace("\n", "")
    if len(joined) % 4 or not _BASE64.fullmatch(joined):
        raise MalformedToken("not base64")
    return base64.b64decode(joined)


def _text(value: t.Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedToken("not a string")
    return value


def _tunnel(value: t.Any) -> uuid.UUID:
    if value is None:
        return uuid.UUID(int=0)
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise MalformedToken("not a UUID")
    return uuid.UUID(value)


def _no_such_constant(name: str) -> t.NoReturn:
    raise ValueError(f"{name} is not JSON")

# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON the way Go writes and rejects it: clients and digests depend on both."""

from __future__ import annotations

import json
import typing as t

from lab.ollama.errors import ApiError

_ESCAPES = {char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
_KINDS: dict[type, str] = {bool: "bool", int: "number", float: "number", str: "string",
                           list: "array", dict: "object"}  # fmt: skip

Fields = t.Mapping[str, str]
"""Field name to Go type: string, bool, int, []string, map, or any."""

_ACCEPTS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "bool": (bool,),
    "int": (int,),
    "[]string": (list,),
    "array": (list,),
    "map": (dict,),
    "map[string]string": (dict,),
    "any": (bool, int, float, str, list, dict),
}
_GO_NAMES = {"map": "map[string]interface {}", "array": "[]api.Message"}


def dumps(value: t.Any) -> str:
    """Return compact JSON with HTML characters escaped, floats as Go prints them."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))
    for char, escape in _ESCAPES.items():
        text = text.replace(char, escape)
    return text


def dumps_sorted(value: t.Any) -> str:
    """Return what Go's encoder writes for a map: keys in order, a newline at the end."""
    return dumps(_sorted(value)) + "\n"


def decode(body: bytes, struct: str, fields: Fields) -> dict[str, t.Any]:
    """Return the known fields of a request body, or raise the 400 that Go's decoder would cause.

    Field names match without regard to case; unknown fields are ignored, `null` means absent.
    """
    if not body.strip():
        raise ApiError("missing request body", 400)
    try:
        # Go decodes the first value only and never looks at what follows.
        value, _end = json.JSONDecoder().raw_decode(body.decode("utf-8", "replace").lstrip())
    except json.JSONDecodeError as error:
        raise ApiError(_syntax_error(error), 400) from None
    if not isinstance(value, dict):
        raise ApiError(
            f"json: cannot unmarshal {_kind(value)} into Go value of type api.{struct}", 400
        )
    known = {name.lower(): name for name in fields}
    decoded: dict[str, t.Any] = {}
    for key, item in value.items():
        name = known.get(key.lower())
        if name is None or item is None:
            continue
        _check(item, fields[name], f"{struct}.{name}")
        decoded[name] = item
    return decoded


def _check(item: t.Any, kind: str, where: str) -> None:
    accepted = _ACCEPTS[kind]
    wrong = not isinstance(item, accepted) or (isinstance(item, bool) and bool not in accepted)
    if wrong:
        what = f"number {item}" if kind == "int" and isinstance(item, float) else _kind(item)
        raise _mismatch(what, where, _GO_NAMES.get(kind, kind))
    if kind in ("[]string", "map[string]string"):
        for element in item.values() if isinstance(item, dict) else item:
            if not isinstance(element, str):
                raise _mismatch(_kind(element), where, "string")


def _mismatch(what: str, where: str, kind: str) -> ApiError:
    text = f"json: cannot unmarshal {what} into Go struct field {where} of type {kind}"
    return ApiError(text, 400)


def _kind(value: t.Any) -> str:
    return _KINDS.get(type(value), "null")


def _syntax_error(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :]
    if not rest.strip() or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    char = rest.lstrip()[0]
    for literal in ("null", "true", "false"):
        if error.msg == "Expecting value" and literal[0] == char:
            return _literal_error(rest.lstrip(), literal)
    key = "looking for beginning of object key string"
    context = {
        "Expecting property name enclosed in double quotes": key,
        "Expecting ':' delimiter": "after object key",
        "Expecting ',' delimiter": "after object key:value pair",
        "Illegal trailing comma before end of object": key,
    }.get(error.msg, "looking for beginning of value")
    return f"invalid character '{char}' {context}"


def _literal_error(rest: str, literal: str) -> str:
    same = next((i for i, char in enumerate(literal) if rest[i : i + 1] != char), len(literal))
    if same >= len(rest):
        return "unexpected EOF"
    return f"invalid character '{rest[same]}' in literal {literal} (expecting '{literal[same]}')"


def _sorted(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


def _plain(value: t.Any) -> t.Any:
    """Turn whole floats into integers: Go prints the float64 1.0 as 1."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value

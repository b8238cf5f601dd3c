# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON schemas for constrained answers, read as Ollama's own converter reads them."""

from __future__ import annotations

import json
import typing as t

from lab.ollama.errors import ApiError

_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
_SCHEMAS = ("items", "not", "additionalProperties")
_LISTS = ("anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions")


def closed(schema: t.Any) -> t.Any:
    """Return the schema with its objects limited to the properties they declare.

    The engine's grammar would allow any others, and takes an unknown type for no constraint at all.
    """
    if not isinstance(schema, dict):
        return schema
    named = schema.get("type", [])
    if not set([named] if isinstance(named, str) else named) <= _TYPES:
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        raise ApiError(f"JSON schema conversion failed:\nUnrecognized schema: {text}", 400)
    result = dict(schema)
    for key in _SCHEMAS:
        if key in schema:
            result[key] = closed(schema[key])
    for key in _LISTS:
        if isinstance(schema.get(key), list):
            result[key] = [closed(one) for one in schema[key]]
    for key in _MAPS:
        if isinstance(schema.get(key), dict):
            result[key] = {name: closed(one) for name, one in schema[key].items()}
    if "properties" in schema:
        result.setdefault("additionalProperties", False)
    return result

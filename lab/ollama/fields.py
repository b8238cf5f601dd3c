# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields each endpoint understands, with their Go types."""

from __future__ import annotations

import typing as t

from lab.ollama import gojson

_MODEL = {"model": "string", "name": "string"}
_RUN = {"keep_alive": "any", "options": "map", "stream": "bool", "format": "any", "think": "any"}
FIELDS: dict[str, dict[str, str]] = {
    "ShowRequest": {**_MODEL, "verbose": "bool", "system": "string", "options": "map"},
    "PullRequest": {**_MODEL, "insecure": "bool", "stream": "bool"},
    "PushRequest": {**_MODEL, "insecure": "bool", "stream": "bool"},
    "DeleteRequest": _MODEL,
    "CopyRequest": {"source": "string", "destination": "string"},
    "GenerateRequest": {
        "model": "string", "prompt": "string", "suffix": "string", "system": "string",
        "template": "string", "context": "array", "raw": "bool", "images": "array",
        "truncate": "bool", "_debug_render_only": "bool", **_RUN,
    },
    "ChatRequest": {
        "model": "string", "messages": "array", "tools": "array", "truncate": "bool",
        "_debug_render_only": "bool", **_RUN,
    },
    "EmbedRequest": {
        "model": "string", "input": "any", "truncate": "bool", "dimensions": "int",
        "keep_alive": "any", "options": "map",
    },
    "EmbeddingRequest": {
        "model": "string", "prompt": "string", "keep_alive": "any", "options": "map",
    },
    "CreateRequest": {
        **_MODEL, "stream": "bool", "from": "string", "files": "map[string]string",
        "adapters": "map[string]string",
        "template": "string", "system": "string", "license": "any", "parameters": "map",
        "messages": "array", "quantize": "string", "quantization": "string", "renderer": "string",
        "parser": "string", "requires": "string", "remote_host": "string", "info": "map",
    },
}  # fmt: skip


def decode(body: bytes, struct: str) -> dict[str, t.Any]:
    """Return the fields of a request body of that kind, or raise Go's 400."""
    return gojson.decode(body, struct, FIELDS[struct])

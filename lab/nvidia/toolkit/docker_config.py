# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's daemon.json with the NVIDIA runtime in it, written as the real program writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RUNTIME = {"args": [], "path": "nvidia-container-runtime"}


def load(path: Path) -> dict[str, Any]:
    """The configuration; ValueError if it is no JSON object."""
    text = path.read_text(encoding="utf-8")
    if not text.strip():
        raise ValueError("EOF")
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("json: cannot unmarshal into a map")
    return found


def configured(
    before: dict[str, Any], *, name: str, path: str, default: bool, cdi: bool
) -> dict[str, Any]:
    """With the runtime; turning CDI on drops every other feature, as 1.20.0 does."""
    after = {**before, "runtimes": {**before.get("runtimes", {}), name: {**RUNTIME, "path": path}}}
    if default:
        after["default-runtime"] = name
    if cdi:
        after["features"] = {"cdi": True}
    return after


def text(config: dict[str, Any]) -> str:
    written = json.dumps(config, indent=4, sort_keys=True, ensure_ascii=False)
    for character in "<>&":  # as Go's writer does
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written

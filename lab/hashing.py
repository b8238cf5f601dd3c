# SPDX-License-Identifier: GPL-3.0-or-later
"""Content hashes: what a recipe is, independent of when and where it is checked out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

_IGNORED = {"__pycache__", ".DS_Store"}


def files_under(paths: Iterable[Path]) -> list[Path]:
    """Every file named, and every file under the folders named, without build leftovers."""
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            inside = (p for p in path.rglob("*") if p.is_file())
            found.update(p for p in inside if not _IGNORED.intersection(p.parts))
        elif path.is_file():
            found.add(path)
    return sorted(found)


def content_hash(values: Mapping[str, object], files: Mapping[str, Path] | None = None) -> str:
    """12 hex digits over JSON values and the contents and executable bits of named files."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for name, path in sorted((files or {}).items()):
        mode = "x" if path.stat().st_mode & 0o100 else "-"
        data = path.read_bytes()
        digest.update(f"\0{name}\0{mode}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()[:12]

# SPDX-License-Identifier: GPL-3.0-or-later
"""Small JSON files in the data volume, by which origin and CDN agree with each other."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t
from pathlib import Path


class SharedFile:
    """One JSON document; readers see whole ones, writers take turns."""

    def __init__(self, path: Path, empty: t.Any) -> None:
        self.path = path
        self._empty = empty

    def read(self) -> t.Any:
        try:
            return json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return json.loads(json.dumps(self._empty))

    @contextlib.contextmanager
    def changing(self) -> t.Iterator[t.Any]:
        """Yield the document to be changed in place; it is written back at the end."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            document = self.read()
            before = json.dumps(document)
            yield document
            if (after := json.dumps(document)) != before:
                fresh = self.path.with_suffix(".new")
                fresh.write_text(after)
                fresh.replace(self.path)
        finally:
            os.close(lock)

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory of a download: what lies at its place, so that nobody reads it again. Private."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.atomic import write_json

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Present:
    """A file as its directory entry tells."""

    size: int
    mtime_ns: int


@dataclasses.dataclass(frozen=True)
class Record:
    """A complete file. C(asked) is the fingerprint of the wish that it fulfilled."""

    size: int
    mtime_ns: int
    sha256: str
    asked: str
    source: str
    version: str | None = None
    commit: str | None = None

    def describes(self, present: Present) -> bool:
        """Whether the file has not been touched since."""
        return (self.size, self.mtime_ns) == (present.size, present.mtime_ns)


def place(dest: Path) -> Path:
    """Where the record is kept when nobody says otherwise."""
    return dest.with_name(f".{dest.name}.edgellm.json")


def read(path: Path) -> Record | None:
    """The record; one that is gone or damaged says nothing, and the file is hashed again."""
    try:
        said = json.loads(path.read_bytes())
        if said.pop("record") != VERSION:
            return None
        record = Record(**said)
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
    whole = isinstance(record.size, int) and isinstance(record.mtime_ns, int)
    return record if whole and isinstance(record.sha256, str) else None


def write(path: Path, record: Record) -> None:
    said: dict[str, t.Any] = {"record": VERSION, **dataclasses.asdict(record)}
    write_json(str(path), said)

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hashes of the stretches of a complete file: where it is damaged, if it ever is. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.atomic import write_json

if t.TYPE_CHECKING:
    from .spans import Range

VERSION = 1
PIECE = 16 * 1024 * 1024
_READ = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A file of this size and hash, and the hash of every C(length) bytes of it."""

    size: int
    sha256: str
    hashes: tuple[str, ...]
    length: int = PIECE

    @property
    def ranges(self) -> list[Range]:
        return [
            (first, min(first + self.length, self.size))
            for first in range(0, self.size, self.length)
        ]


def place(record: Path) -> Path:
    """Where they are kept: beside the record of the file."""
    return record.with_name(f"{record.name.removesuffix('.json')}.pieces.json")


def read(path: Path) -> Pieces | None:
    """The hashes; ones that are gone or damaged are none."""
    try:
        said = json.loads(path.read_bytes())
        if said.pop("pieces") != VERSION:
            return None
        pieces = Pieces(**{**said, "hashes": tuple(said["hashes"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
    numbers = type(pieces.size) is int and type(pieces.length) is int and pieces.length > 0
    texts = [pieces.sha256, *pieces.hashes]
    if not numbers or not all(isinstance(text, str) and _SHA256.fullmatch(text) for text in texts):
        return None
    return pieces if len(pieces.ranges) == len(pieces.hashes) else None


def write(path: Path, pieces: Pieces) -> None:
    write_json(str(path), {"pieces": VERSION, **dataclasses.asdict(pieces)})


def sound(path: Path, pieces: Pieces) -> list[Range]:
    """Which stretches of the file are what they were. All of it is read."""
    found = []
    with path.open("rb", buffering=0) as stream:
        for (first, end), wanted in zip(pieces.ranges, pieces.hashes, strict=True):
            stream.seek(first)
            digest, left = hashlib.sha256(), end - first
            while left and (data := stream.read(min(_READ, left))):
                digest.update(data)
                left -= len(data)
            if not left and digest.hexdigest() == wanted:
                found.append((first, end))
    return found

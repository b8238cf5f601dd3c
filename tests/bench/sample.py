# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that everybody downloads: random, so that nothing on the way can make it smaller."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

BLOCK = 16 * 1024 * 1024
NAME = "file.gguf"
# What gguf_file wants to see first.
MAGIC = b"GGUF"


@dataclasses.dataclass(frozen=True)
class Sample:
    """A file and what it is."""

    path: Path
    size: int
    sha256: str


def make(folder: Path, size: int) -> Sample:
    """A new file of this size, in a folder of its own."""
    folder.mkdir()
    path, digest, left = folder / NAME, hashlib.sha256(), size
    with path.open("wb", buffering=0) as stream:
        while left:
            block = os.urandom(min(BLOCK, left))
            if left == size:
                block = (MAGIC + block)[: len(block)]
            stream.write(block)
            digest.update(block)
            left -= len(block)
    return Sample(path, size, digest.hexdigest())


def is_same(path: Path, sample: Sample) -> bool:
    """Whether this is the whole and right file."""
    if not path.is_file():
        return False
    with path.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == sample.sha256

# SPDX-License-Identifier: GPL-3.0-or-later
"""A file's bytes and identities, as it lies there or as it would be after a change upstream."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import typing as t
from pathlib import Path

#: What a change can do to a file's size.
Change = t.Literal["same size", "other size"]
CHANGES: tuple[Change, ...] = ("same size", "other size")

_PIECE = 1 << 20
# No byte of a changed file equals the one it replaces: whatever gets mixed up is seen.
_FLIPPED = bytes(value ^ 0x55 for value in range(256))
_ADDED = b"changed\n" * 128


@dataclasses.dataclass(frozen=True)
class Content:
    """What is sent for one file."""

    path: Path
    change: Change | None = None

    @property
    def size(self) -> int:
        added = len(_ADDED) if self.change == "other size" else 0
        return self.path.stat().st_size + added

    @property
    def modified(self) -> float:
        return self.path.stat().st_mtime + (1.0 if self.change else 0.0)

    @property
    def etag(self) -> str:
        """A strong validator: a content address if the name is one, else size and mtime."""
        suffix = f"-{self.change.replace(' ', '-')}" if self.change else ""
        if self.path.name.startswith("sha256-"):
            return f'"{self.path.name}{suffix}"'
        status = self.path.stat()
        return f'"{status.st_mtime_ns:x}-{status.st_size:x}{suffix}"'

    def pieces(self, start: int, length: int, at_most: int) -> t.Iterator[bytes]:
        """Yield `length` bytes from `start` on, or fewer if the file shrinks meanwhile."""
        with self.path.open("rb") as file:
            os.posix_fadvise(file.fileno(), start, length, os.POSIX_FADV_SEQUENTIAL)
            file.seek(start)
            while length > 0 and (piece := file.read(min(at_most, length))):
                yield piece.translate(_FLIPPED) if self.change else piece
                start, length = start + len(piece), length - len(piece)
        if length > 0 and self.change == "other size":
            yield _ADDED[-length:]

    def sha256(self) -> str:
        return self._digest("sha256", "")

    def git_sha1(self) -> str:
        """The name that git gives to the content."""
        return self._digest("sha1", f"blob {self.size}\0")

    def _digest(self, algorithm: str, preface: str) -> str:
        status = self.path.stat()
        # Hard links to one file are read once.
        inode = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
        key = (algorithm, self.change, *inode)
        if key not in _digests:
            digest = hashlib.new(algorithm, preface.encode())
            for piece in self.pieces(0, self.size, _PIECE):
                digest.update(piece)
            _digests[key] = digest.hexdigest()
        return _digests[key]


_digests: dict[tuple[object, ...], str] = {}

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which bytes of a partial file are safely on disk: a small file beside it. Private."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from pathlib import Path

from .identity import Identity

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the journal says. C(ranges) are half open; C(etag) is that of the body itself."""

    identity: Identity
    ranges: tuple[tuple[int, int], ...] = ()
    etag: str | None = None

    @property
    def prefix(self) -> int:
        """How many bytes from the start on are safe."""
        return next((last for first, last in self.ranges if first == 0), 0)


def read(path: Path) -> Entry | None:
    """What is journalled, or None if that is nothing one can rely on."""
    try:
        said = json.loads(path.read_bytes())
        if said["journal"] != VERSION:
            return None
        ranges = tuple((int(first), int(last)) for first, last in said["ranges"])
        return Entry(Identity(**said["identity"]), ranges, said["etag"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def write(path: Path, entry: Entry) -> None:
    """Replace the journal in one step that outlives a power failure."""
    said: dict[str, t.Any] = {"journal": VERSION, **dataclasses.asdict(entry)}
    # A fixed name: only the holder of the lock writes, and a kill leaves no litter.
    staged = path.with_name(f"{path.name}.new")
    with staged.open("w", encoding="utf-8") as stream:
        json.dump(said, stream, ensure_ascii=False, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(path)

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On which file system a path lies, or will lie once it is made. Private."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_MOUNTINFO = "proc/self/mountinfo"
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Place:
    """Where a path lies. C(is_mount): the path itself is a mount point."""

    exists: bool
    mount_point: str
    is_mount: bool
    fstype: str
    total_bytes: int
    free_bytes: int


def locate(path: str, root: str = "/") -> Place:
    """The place of C(path), links followed; the path need not exist."""
    top = Path(root).resolve()
    real = (top / path.lstrip("/")).resolve()
    inside = PurePosixPath("/") / real.relative_to(top)
    mounts = _mounts(root)
    above = (str(place) for place in (inside, *inside.parents))
    mount_point = next((place for place in above if place in mounts), "/")
    space = os.statvfs(_nearest_existing(real))
    return Place(
        exists=real.exists(),
        mount_point=mount_point,
        is_mount=str(inside) in mounts,
        fstype=mounts.get(mount_point, ""),
        total_bytes=space.f_blocks * space.f_frsize,
        free_bytes=space.f_bavail * space.f_frsize,
    )


def _nearest_existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _mounts(root: str) -> dict[str, str]:
    """Mount point → type of file system; what was mounted last on a point is what one sees."""
    found = {}
    for line in Path(root, _MOUNTINFO).read_text("utf-8", "surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), before.split(" ")[4])
        found[point] = after.split(" ")[0]
    return found

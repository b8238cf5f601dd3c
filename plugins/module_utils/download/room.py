# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether there is room for a file and for what is made of it, before its first byte. Private.

In WSL2 the disk that Linux sees is a file on a Windows drive. It grows, so the drive must have the
room too. Which drive it is cannot be read from inside.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.host import os_release

from . import partial
from .errors import DownloadError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FILE = "the file"
_ESCAPE = re.compile(r"\\([0-7]{3})")
_LETTER = re.compile(r"(?:^|;path=|,path=)([A-Za-z]):")
_VIRTIOFS = re.compile(r"drvfs([A-Za-z])\d*")
_REMEDY = "Make room there, or choose a place on another disk"
_WINDOWS_REMEDY = (
    "The disk of WSL2 grows on a drive of Windows, and which one it is cannot be seen from here, "
    "so this one is assumed. Make room on it in Windows. If Linux has room that it once used, give "
    "that back: type wsl --shutdown in PowerShell, then diskpart, and there select vdisk file="
    "<path of ext4.vhdx> and compact vdisk. Or move the distribution to another drive: "
    "wsl --manage <distribution> --move <folder>."
)


@dataclasses.dataclass(frozen=True)
class Room:
    """Where copies of the file will be made. With none it is linked there, which takes a copy
    only where that is another disk than the file's.
    """

    path: Path
    copies: int = 1


@dataclasses.dataclass(frozen=True)
class Need:
    """So many bytes, under this path and for this purpose. Not if C(linked) is on the same disk."""

    path: str
    size: int
    purpose: str = FILE
    linked: str | None = None


@dataclasses.dataclass(frozen=True)
class Disk:
    """What holds a path: C(place) is the nearest folder that is there already."""

    device: int
    free: int
    place: Path


@dataclasses.dataclass(frozen=True)
class Drive:
    """The Windows drive on which the disk with the number C(above) grows."""

    disk: Disk
    letter: str
    above: int


@dataclasses.dataclass(frozen=True)
class Lack:
    """A disk that has too little room, and for what."""

    place: str
    free: int
    needs: tuple[Need, ...]
    remedy: str

    @property
    def needed(self) -> int:
        return sum(need.size for need in self.needs)

    def __str__(self) -> str:
        by_purpose: dict[str, int] = {}
        for need in self.needs:
            by_purpose[need.purpose] = by_purpose.get(need.purpose, 0) + need.size
        if len(by_purpose) == 1:
            parts = f" for {next(iter(by_purpose))}"
        else:
            parts = f": {', '.join(f'{size} for {why}' for why, size in by_purpose.items())}"
        return f"{self.place} has {self.free} bytes free, and {self.needed} more are needed{parts}."


def needs(dest: Path, missing: int, size: int, rooms: Iterable[Room]) -> tuple[Need, ...]:
    """What a file of this size takes that lacks so many bytes. Pure."""
    folder = str(dest.parent)
    found = [Need(folder, missing)]
    for room in rooms:
        purpose = f"its import into {room.path}"
        linked = None if room.copies else folder
        found.append(Need(str(room.path), (room.copies or 1) * size, purpose, linked))
    return tuple(found)


def lacks(
    needs: Sequence[Need], disks: Mapping[str, Disk], drive: Drive | None = None
) -> list[Lack]:
    """The disks that have too little room for all of it together. Pure."""
    on: dict[int, list[Need]] = {}
    for need in needs:
        disk = disks[need.path]
        if need.linked is None or disks[need.linked].device != disk.device:
            on.setdefault(disk.device, []).append(need)
    found = []
    for its in on.values():
        disk = disks[its[0].path]
        options = "dest" if all(need.purpose == FILE for need in its) else "dest, import_store"
        lack = Lack(str(disk.place), disk.free, tuple(its), f"{_REMEDY} ({options}).")
        if lack.needed > disk.free:
            found.append(lack)
    if drive and drive.above in on:
        devices = {drive.above, drive.disk.device}
        below = tuple(need for device in on if device in devices for need in on[device])
        place = f"The Windows drive {drive.letter}:"
        lack = Lack(place, drive.disk.free, below, _WINDOWS_REMEDY)
        if lack.needed > drive.disk.free:
            found.append(lack)
    return found


def refuse(needs: Sequence[Need], root: str = "/") -> None:
    """DownloadError with all that lacks room, if anything does."""
    paths = {need.path for need in needs} | {need.linked for need in needs if need.linked}
    found = lacks(needs, {path: disk_of(Path(path)) for path in paths}, drive_below(root))
    if found:
        remedies = dict.fromkeys(lack.remedy for lack in found)
        raise DownloadError(
            " ".join([*map(str, found), "Nothing was fetched.", *remedies]),
            bytes_free=found[0].free,
            bytes_needed=found[0].needed,
        )


def disk_of(path: Path) -> Disk:
    """The disk on which the path lies, or will lie once it is made."""
    place = next(above for above in (path, *path.parents) if above.is_dir())
    return Disk(place.stat().st_dev, partial.free_bytes(place), place)


def drive_below(root: str = "/") -> Drive | None:
    """The drive of Windows below the disk of Linux: C:, or the only one there is."""
    if not os_release.is_wsl(root):
        return None
    drives = windows_drives(Path(root, "proc/mounts").read_text("utf-8", "surrogateescape"))
    letter = "C" if "C" in drives else next(iter(drives), "") if len(drives) == 1 else ""
    point = Path(root, drives[letter].lstrip("/")) if letter else None
    if point is None or not point.is_dir():
        return None
    return Drive(disk_of(point), letter, Path(root).stat().st_dev)


def windows_drives(mounts: str) -> dict[str, str]:
    """Letter and mount point of every drive of Windows that is mounted. Pure."""
    found: dict[str, str] = {}
    for line in mounts.splitlines():
        fields = [_ESCAPE.sub(lambda match: chr(int(match[1], 8)), each) for each in line.split()]
        if len(fields) < 4:
            continue
        source, point, kind, options = fields[:4]
        letter = None
        if kind == "virtiofs":
            letter = _VIRTIOFS.fullmatch(source)
        elif kind == "drvfs" or (kind == "9p" and "aname=drvfs" in options):
            letter = _LETTER.match(source) or _LETTER.search(options)
        if letter:
            found.setdefault(letter[1].upper(), point)
    return found

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which bytes of a partial file can be relied on: two small files beside it. Private.

The journal says what is on disk, even after a power failure: data first, then the journal, each
made durable. The note says what was written, as soon as it was. It costs no waiting for the disk
and so counts only as long as the machine runs: a process that is killed loses nothing of it.

Ranges are those of the file and not of its chunks. With other chunks or lanes, all of it is good.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
import zlib
from pathlib import Path

from .identity import Identity
from .lock import boot
from .spans import Range, Spans, are_orderly

VERSION = 2
# The first version knew one range, the beginning. What it says is read in the same way.
_READABLE = (1, VERSION)


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the journal says. C(ranges) are half open; C(etag) is that of the body itself."""

    identity: Identity
    ranges: tuple[Range, ...] = ()
    etag: str | None = None


class Odd(Exception):
    """It is nothing one can rely on; the text says why."""


def read(path: Path) -> Entry | None:
    """What is journalled, None if nothing is; Odd if it is not what this module writes."""
    try:
        said = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise Odd(f"{path} is not JSON.") from error
    if not isinstance(said, dict) or said.get("journal") not in _READABLE:
        raise Odd(f"{path} is not a journal of version {VERSION}.")
    try:
        return entry_of(said)
    except Odd as reason:
        raise Odd(f"{path}: {reason}") from reason


def entry_of(said: dict[str, t.Any]) -> Entry:
    """The entry in this form, or Odd. Pure."""
    identity, ranges, etag = said.get("identity"), said.get("ranges"), said.get("etag")
    names = {field.name for field in dataclasses.fields(Identity)}
    if not isinstance(identity, dict) or set(identity) != names:
        raise Odd(f"the identity must have {', '.join(sorted(names))}.")
    size = identity["size"]
    if type(size) is not int or size < 0:
        raise Odd(f"the size {size!r} is none.")
    texts = [identity[name] for name in names - {"size"}]
    if not isinstance(identity["source"], str) or not all(map(_is_text, [*texts, etag])):
        raise Odd("what must be text is not.")
    if not are_orderly(ranges, size):
        raise Odd(f"the ranges are not ascending ones within {size} bytes.")
    assert isinstance(ranges, list)
    return Entry(Identity(**identity), tuple((first, end) for first, end in ranges), etag)


def write(path: Path, entry: Entry) -> None:
    """Replace the journal in one step that outlives a power failure."""
    said: dict[str, t.Any] = {"journal": VERSION, **dataclasses.asdict(entry)}
    # A fixed name: only the holder of the lock writes, and a kill leaves no litter.
    staged = path.with_name(f"{path.name}.new")
    try:
        with staged.open("w", encoding="utf-8") as stream:
            json.dump(said, stream, ensure_ascii=False, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise


class Note:
    """The note while the partial is written. It is overwritten in place."""

    def __init__(self, path: Path, identity: Identity, inode: int) -> None:
        self._bound = _binding(identity, inode)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        self._handle = os.open(path, flags, 0o600)

    def write(self, ranges: tuple[Range, ...], etag: str | None) -> None:
        text = json.dumps({**self._bound, "ranges": ranges, "etag": etag})
        os.pwrite(self._handle, framed(text.encode()), 0)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def read_note(path: Path, identity: Identity, inode: int) -> Entry | None:
    """What was written since this machine was started, if the note is whole and of this file."""
    # Only a hash can prove what never was made durable.
    if identity.sha256 is None:
        return None
    try:
        text = unframed(path.read_bytes())
    except FileNotFoundError:
        return None
    if text is None:
        return None
    said = json.loads(text)
    bound = _binding(identity, inode)
    if not bound["boot"] or any(said.get(key) != value for key, value in bound.items()):
        return None
    if not are_orderly(said.get("ranges"), identity.size) or not _is_text(said.get("etag")):
        return None
    ranges = tuple((first, end) for first, end in said["ranges"])
    return Entry(identity, ranges, said["etag"])


def merged(entry: Entry, note: Entry | None) -> Entry:
    """Both together. What is durable stays good whatever the note says."""
    if note is None:
        return entry
    ranges = Spans([*entry.ranges, *note.ranges]).ranges
    return dataclasses.replace(entry, ranges=ranges, etag=note.etag or entry.etag)


def framed(text: bytes) -> bytes:
    """The text so that half of it, or what an older and longer one left behind, is noticed."""
    return b"%08x %08x %s" % (zlib.crc32(text), len(text), text)


def unframed(data: bytes) -> bytes | None:
    try:
        checksum, length = int(data[:8], 16), int(data[9:17], 16)
    except ValueError:
        return None
    text = data[18 : 18 + length]
    return text if len(text) == length and zlib.crc32(text) == checksum else None


def _binding(identity: Identity, inode: int) -> dict[str, t.Any]:
    """What must be the same for the note to speak of this file on this running machine."""
    return {
        "note": VERSION,
        "boot": boot(),
        "inode": inode,
        "size": identity.size,
        "sha256": identity.sha256,
    }


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)

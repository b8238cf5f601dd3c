# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that is not complete yet, beside the place where it will be. Private."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import threading
import time
import typing as t
from pathlib import Path

from . import journal
from .errors import Locked
from .follower import Follower
from .lock import held
from .spans import Spans

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .identity import Identity
    from .lock import Lock
    from .spans import Range

# What a power failure can cost is what came since the last journal entry, and what a kill can
# cost is what came since the last note.
EVERY_BYTES = 64 * 1024 * 1024
EVERY_SECONDS = 2.0
NOTE_BYTES = 512 * 1024
NOTE_SECONDS = 0.1
_COPY = 8 * 1024 * 1024
_KEY = re.compile(r"[0-9a-f]{12}")
# The lock, the journal, its next version and the note.
_ENDS = ("lock", "json", "json.new", "note")


def path_of(dest: Path, identity: Identity) -> Path:
    """The name carries the identity, so that another file never continues this one."""
    return dest.with_name(f"{dest.name}.{identity.key}.part")


def beside(part: Path) -> list[Path]:
    """The lock, the journal, its next version and the note."""
    return [part.with_name(f"{part.name}.{end}") for end in _ENDS]


@dataclasses.dataclass(frozen=True)
class Usable:
    """What of a partial can be reused, and why not more if something is odd."""

    ranges: tuple[Range, ...] = ()
    etag: str | None = None
    odd: str | None = None

    @property
    def total(self) -> int:
        return Spans(self.ranges).total


def peek(dest: Path, identity: Identity) -> Usable:
    """What could be reused; nothing is touched."""
    return _usable(path_of(dest, identity), identity)


def _usable(part: Path, identity: Identity) -> Usable:
    _lock, journalled, _new, noted = beside(part)
    try:
        found = part.stat()
    except FileNotFoundError:
        return Usable()
    try:
        entry = journal.read(journalled)
    except journal.Odd as reason:
        return Usable(odd=f"{reason} What was fetched before is not used.")
    if entry is None or not identity.continues(entry.identity):
        return Usable()
    entry = journal.merged(entry, journal.read_note(noted, identity, found.st_ino))
    spans = Spans(entry.ranges)
    if spans.end > found.st_size:
        # It was tampered with: nothing of it can be relied on.
        return Usable(odd=f"{part} is shorter than its journal says. It is not used.")
    return Usable(entry.ranges, entry.etag)


def leftovers(dest: Path) -> list[Path]:
    """Every partial of this file, of whatever identity."""
    found = set()
    if dest.parent.is_dir():
        for path in dest.parent.iterdir():
            rest = path.name.removeprefix(f"{dest.name}.")
            key, _dot, kind = rest.partition(".")
            known = ("part", *(f"part.{end}" for end in _ENDS))
            if rest != path.name and _KEY.fullmatch(key) and kind in known:
                found.add(dest.with_name(f"{dest.name}.{key}.part"))
    return sorted(found)


def discard(part: Path, what: str) -> None:
    """Remove a partial and what belongs to it; Locked if somebody is at it."""
    with held(beside(part)[0], what):
        for path in (part, *beside(part)[1:]):
            path.unlink(missing_ok=True)


def discard_others(dest: Path, keep: Path | None = None) -> None:
    """Remove what earlier downloads of other versions left, unless somebody is at it."""
    for part in leftovers(dest):
        if part != keep:
            with contextlib.suppress(Locked):
                discard(part, part.name)


class Partial:
    """A partial file while it is being written, by any number of threads.

    C(etag) is that of the bodies it is made of.
    """

    def __init__(self, path: Path, identity: Identity, lock: Lock) -> None:
        self.path = path
        self.identity = identity
        usable = _usable(path, identity)
        self.etag = usable.etag
        self._spans = Spans(usable.ranges)
        self.reused = self._spans.total
        self._lock = lock
        _lock, self._journal, _new, self._note_path = beside(path)
        # Held for moments, by whoever writes; the other one while the disk is waited for.
        self._state = threading.RLock()
        self._saving = threading.Lock()
        self._safe: tuple[Range, ...] | None = None
        self._unsafe_bytes = self._unnoted_bytes = 0
        self._saved_at = self._noted_at = time.monotonic()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._handle = os.open(path, flags, 0o600)
        os.ftruncate(self._handle, self._spans.end)
        # The note only adds to a journal.
        self.checkpoint()
        self._note = journal.Note(self._note_path, identity, os.fstat(self._handle).st_ino)
        self._follower = Follower(path)
        self._follower.extend(self._spans.prefix)

    @property
    def done(self) -> int:
        """How many bytes are there, wherever."""
        with self._state:
            return self._spans.total

    def missing(self) -> list[Range]:
        """What is not there yet."""
        with self._state:
            return self._spans.missing(self.identity.size)

    def seed(self, other: Path, ranges: Iterable[Range]) -> None:
        """Begin with a copy of what somebody else left; the hash of the whole will prove it."""
        with other.open("rb", buffering=0) as stream:
            for at, end in ranges:
                stream.seek(at)
                while at < end and (data := stream.read(min(_COPY, end - at))):
                    self.write(data, at)
                    at += len(data)
        self.checkpoint()
        self.reused = self.done

    def write(self, data: bytes | memoryview, at: int) -> None:
        """Put it there, and write down from time to time what is safe."""
        first, rest = at, memoryview(data)
        try:
            while rest:
                count = os.pwrite(self._handle, rest, at)
                at, rest = at + count, rest[count:]
        finally:
            self._wrote(first, at)
        if self._is_due() and self._saving.acquire(blocking=False):
            try:
                self._save()
            finally:
                self._saving.release()

    def _wrote(self, first: int, end: int) -> None:
        with self._state:
            self._spans.add(first, end)
            self._follower.extend(self._spans.prefix)
            self._unsafe_bytes += end - first
            self._unnoted_bytes += end - first
            now = time.monotonic()
            if self._unnoted_bytes >= NOTE_BYTES or now - self._noted_at >= NOTE_SECONDS:
                self._note.write(self._spans.ranges, self.etag)
                self._unnoted_bytes, self._noted_at = 0, now

    def _is_due(self) -> bool:
        waited = time.monotonic() - self._saved_at >= EVERY_SECONDS
        return self._unsafe_bytes >= EVERY_BYTES or waited

    def checkpoint(self) -> None:
        """What is written becomes safe, and only then the journal says so."""
        with self._saving:
            self._save()

    def settle(self) -> None:
        """The journal says all there is, and the note is not needed any more."""
        self.checkpoint()
        self._note_path.unlink(missing_ok=True)

    def _save(self) -> None:
        with self._state:
            ranges, etag = self._spans.ranges, self.etag
            self._saved_at, self._unsafe_bytes = time.monotonic(), 0
        if ranges == self._safe or self._handle < 0:
            return
        self._refuse_lost_lock()
        os.fdatasync(self._handle)
        journal.write(self._journal, journal.Entry(self.identity, ranges, etag))
        self._safe = ranges

    def _refuse_lost_lock(self) -> None:
        if not self._lock.is_held():
            raise Locked(f"Somebody removed {self._lock.path} while {self.path} was written.")

    def forget(self, first: int, end: int) -> None:
        """What is there is not to be trusted."""
        with self._saving:
            with self._state:
                was = self._spans.prefix
                self._spans.remove(first, end)
                self.reused = min(self.reused, self._spans.total)
                self._note.write(self._spans.ranges, self.etag)
                if self._spans.prefix < was:
                    self._follower.close()
                    self._follower = Follower(self.path)
                    self._follower.extend(self._spans.prefix)
            self._safe = None
            self._journal.unlink(missing_ok=True)
            # After a power failure the old journal must not be there again.
            _sync_folder(self.path.parent)
            self._save()

    def rewind(self) -> None:
        """Forget everything, and any ETag."""
        self.etag = None
        self.forget(0, self.identity.size)
        os.ftruncate(self._handle, 0)

    def digest(self) -> str:
        """The SHA-256 of the whole, with all of it on disk."""
        os.fsync(self._handle)
        return self._follower.digest()

    def pieces(self) -> list[str]:
        """The hashes of the stretches; good after C(digest)."""
        return self._follower.pieces

    def close(self) -> None:
        self._follower.close()
        self._note.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def remove(self) -> None:
        self.close()
        for path in (self.path, *beside(self.path)[1:]):
            path.unlink(missing_ok=True)

    def publish(self, dest: Path, finish: Callable[[str], object]) -> None:
        """Give the file its name. From here on nobody opens it for writing."""
        self._refuse_lost_lock()
        os.fsync(self._handle)
        self.close()
        finish(str(self.path))
        self.path.replace(dest)
        _sync_folder(dest.parent)
        for path in beside(self.path)[1:]:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(dest: Path, identity: Identity, what: str) -> Iterator[Partial]:
    """The partial for this file, for one writer alone."""
    path = path_of(dest, identity)
    with held(beside(path)[0], what) as lock:
        partial = Partial(path, identity, lock)
        try:
            yield partial
        except BaseException:
            with contextlib.suppress(OSError, Locked):
                partial.settle()
            raise
        finally:
            partial.close()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def free_bytes(folder: Path) -> int:
    """What can still be written there."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize

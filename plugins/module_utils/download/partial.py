# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that is not complete yet, beside the place where it will be. Private."""

from __future__ import annotations

import contextlib
import os
import re
import time
import typing as t
from pathlib import Path

from . import journal
from .errors import DownloadError, Locked
from .follower import Follower
from .lock import held

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .identity import Identity
    from .lock import Lock

# What a kill can cost is what came since the last journal entry.
EVERY_BYTES = 8 * 1024 * 1024
EVERY_SECONDS = 1.0
_COPY = 8 * 1024 * 1024
_KEY = re.compile(r"[0-9a-f]{12}")


def path_of(dest: Path, identity: Identity) -> Path:
    """The name carries the identity, so that another file never continues this one."""
    return dest.with_name(f"{dest.name}.{identity.key}.part")


def _beside(part: Path) -> tuple[Path, Path, Path]:
    """The journal, its next version and the lock."""
    names = (f"{part.name}.json", f"{part.name}.json.new", f"{part.name}.lock")
    first, second, third = (part.with_name(name) for name in names)
    return first, second, third


def peek(dest: Path, identity: Identity) -> int:
    """How many bytes could be reused; nothing is touched."""
    part = path_of(dest, identity)
    return _usable(part, identity)[0]


def _usable(part: Path, identity: Identity) -> tuple[int, str | None]:
    entry = journal.read(_beside(part)[0])
    if entry is None or not identity.continues(entry.identity):
        return 0, None
    try:
        size = part.stat().st_size
    except FileNotFoundError:
        return 0, None
    # A file shorter than its journal was tampered with: nothing of it can be relied on.
    return (entry.prefix, entry.etag) if entry.prefix <= size else (0, None)


def leftovers(dest: Path) -> list[Path]:
    """Every partial of this file, of whatever identity."""
    found = set()
    if dest.parent.is_dir():
        for path in dest.parent.iterdir():
            rest = path.name.removeprefix(f"{dest.name}.")
            key, _dot, kind = rest.partition(".")
            known = ("part", "part.json", "part.json.new", "part.lock")
            if rest != path.name and _KEY.fullmatch(key) and kind in known:
                found.add(dest.with_name(f"{dest.name}.{key}.part"))
    return sorted(found)


def discard(part: Path, what: str) -> None:
    """Remove a partial and what belongs to it; Locked if somebody is at it."""
    with held(_beside(part)[2], what):
        for path in (part, *_beside(part)[:2]):
            path.unlink(missing_ok=True)


def discard_others(dest: Path, keep: Path | None = None) -> None:
    """Remove what earlier downloads of other versions left, unless somebody is at it."""
    for part in leftovers(dest):
        if part != keep:
            with contextlib.suppress(Locked):
                discard(part, part.name)


class Partial:
    """A partial file while it is being written. C(etag) is that of the bodies it is made of."""

    def __init__(self, path: Path, identity: Identity, lock: Lock) -> None:
        self.path = path
        self.identity = identity
        self.reused, self.etag = _usable(path, identity)
        self.written = self.reused
        self._lock = lock
        self._journal = _beside(path)[0]
        self._safe = self.reused
        self._noted_at = time.monotonic()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._handle = os.open(path, flags, 0o600)
        os.ftruncate(self._handle, self.written)
        self._follower = Follower(path)
        self._follower.extend(self.written)

    def seed(self, other: Path, size: int) -> None:
        """Begin with a copy of what somebody else left; the hash of the whole will prove it."""
        with other.open("rb", buffering=0) as stream:
            while self.written < size and (data := stream.read(min(_COPY, size - self.written))):
                self.write(data)
        self.checkpoint()
        self.reused = self.written

    def write(self, data: bytes) -> None:
        """Append, and note from time to time what is safe."""
        rest = memoryview(data)
        while rest:
            until_due = self._safe + EVERY_BYTES - self.written
            count = os.pwrite(self._handle, rest[:until_due], self.written)
            self.written += count
            rest = rest[count:]
            self._follower.extend(self.written)
            if count == until_due or time.monotonic() - self._noted_at >= EVERY_SECONDS:
                self.checkpoint()

    def checkpoint(self) -> None:
        """What is written becomes safe, and only then the journal says so."""
        self._noted_at = time.monotonic()
        if self.written == self._safe or self._handle < 0:
            return
        self._refuse_lost_lock()
        os.fdatasync(self._handle)
        journal.write(self._journal, journal.Entry(self.identity, ((0, self.written),), self.etag))
        self._safe = self.written

    def _refuse_lost_lock(self) -> None:
        if not self._lock.is_held():
            raise Locked(f"Somebody removed {self._lock.path} while {self.path} was written.")

    def rewind(self, to: int = 0) -> None:
        """Forget what was written behind this point."""
        self._journal.unlink(missing_ok=True)
        os.ftruncate(self._handle, to)
        self._follower.close()
        self._follower = Follower(self.path)
        self._follower.extend(to)
        self.written, self._safe = to, 0
        self.reused = min(self.reused, to)
        self.checkpoint()

    def digest(self) -> str:
        """The SHA-256 of the whole, with all of it on disk."""
        os.fsync(self._handle)
        return self._follower.digest()

    def close(self) -> None:
        self._follower.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def remove(self) -> None:
        self.close()
        for path in (self.path, *_beside(self.path)[:2]):
            path.unlink(missing_ok=True)

    def publish(self, dest: Path, finish: Callable[[str], object]) -> None:
        """Give the file its name. From here on nobody opens it for writing."""
        self._refuse_lost_lock()
        os.fsync(self._handle)
        self.close()
        finish(str(self.path))
        self.path.replace(dest)
        _sync_folder(dest.parent)
        for path in _beside(self.path)[:2]:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(dest: Path, identity: Identity, what: str) -> Iterator[Partial]:
    """The partial for this file, for one writer alone."""
    path = path_of(dest, identity)
    with held(_beside(path)[2], what) as lock:
        partial = Partial(path, identity, lock)
        try:
            yield partial
        except BaseException:
            with contextlib.suppress(OSError, Locked):
                partial.checkpoint()
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


def no_room(folder: Path, needed: int) -> DownloadError | None:
    """Why so many bytes cannot be put there, if they cannot."""
    free = free_bytes(folder)
    if needed <= free:
        return None
    return DownloadError(
        f"{folder} has {free} bytes free, and {needed} more are needed. Nothing was fetched.",
        bytes_free=free,
        bytes_needed=needed,
    )

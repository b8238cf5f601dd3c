# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that is not complete yet, beside the place where it will be. Private."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import secrets
import threading
import time
import typing as t
from pathlib import Path

from . import journal, lock
from .errors import Locked
from .follower import Follower
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
# The identity, and a number where it is the partial of one writer only.
_NAME = re.compile(r"([0-9a-f]{12}(?:\.[0-9a-f]{8})?\.part)(?:\.(?:lock|json|json\.new|note))?")
# The lock, the journal, its next version and the note.
_ENDS = ("lock", "json", "json.new", "note")


def path_of(dest: Path, identity: Identity) -> Path:
    """The name carries the identity, so that another file never continues this one."""
    return dest.with_name(f"{dest.name}.{identity.key}.part")


def lock_of(dest: Path, identity: Identity) -> Path:
    """The lock that whoever fetches this file tries to have."""
    return beside(path_of(dest, identity))[0]


def beside(part: Path) -> list[Path]:
    """The lock, the journal, its next version and the note."""
    return [part.with_name(f"{part.name}.{end}") for end in _ENDS]


@dataclasses.dataclass(frozen=True)
class Usable:
    """What of a partial can be reused, and why not more if something is odd."""

    path: Path
    ranges: tuple[Range, ...] = ()
    etag: str | None = None
    odd: str | None = None

    @property
    def total(self) -> int:
        return Spans(self.ranges).total


def peek(dest: Path, identity: Identity) -> Usable:
    """What could be reused; nothing is touched."""
    shared = _usable(path_of(dest, identity), identity)
    best = max([shared, *_singles(dest, identity)], key=lambda usable: usable.total)
    return dataclasses.replace(best, odd=best.odd or shared.odd)


def _singles(dest: Path, identity: Identity) -> list[Usable]:
    """What lies in the partials that writers made each for itself, the fullest first."""
    shared, start = path_of(dest, identity), f"{dest.name}.{identity.key}."
    paths = [path for path in leftovers(dest) if path.name.startswith(start) and path != shared]
    return sorted((_usable(path, identity) for path in paths), key=lambda usable: -usable.total)


def shared_bytes(dest: Path, identity: Identity) -> int:
    """How far whoever has the lock of the file is."""
    return _usable(path_of(dest, identity), identity).total


def _usable(part: Path, identity: Identity) -> Usable:
    _lock, journalled, _new, noted = beside(part)
    try:
        found = part.stat()
    except FileNotFoundError:
        return Usable(part)
    try:
        entry = journal.read(journalled)
    except journal.Odd as reason:
        return Usable(part, odd=f"{reason} What was fetched before is not used.")
    if entry is None or not identity.continues(entry.identity):
        return Usable(part)
    entry = journal.merged(entry, journal.read_note(noted, identity, found.st_ino))
    spans = Spans(entry.ranges)
    if spans.end > found.st_size:
        # It was tampered with: nothing of it can be relied on.
        return Usable(part, odd=f"{part} is shorter than its journal says. It is not used.")
    return Usable(part, entry.ranges, entry.etag)


def leftovers(dest: Path) -> list[Path]:
    """Every partial of this file, of whatever identity."""
    found = set()
    if dest.parent.is_dir():
        for path in dest.parent.iterdir():
            rest = path.name.removeprefix(f"{dest.name}.")
            if rest != path.name and (known := _NAME.fullmatch(rest)):
                found.add(dest.with_name(f"{dest.name}.{known[1]}"))
    return sorted(found)


def discard(part: Path, what: str) -> None:
    """Remove a partial and what belongs to it; Locked if somebody is at it."""
    with lock.held(beside(part)[0], what):
        if part.exists():
            # Its lock may have been removed while it is written.
            os.close(_grasp(part, what))
        for path in (part, *beside(part)[1:]):
            path.unlink(missing_ok=True)


def discard_others(dest: Path, keep: Path | None = None) -> None:
    """Remove what earlier downloads of other versions left, unless somebody is at it."""
    for part in leftovers(dest):
        if part != keep:
            # Litter that cannot be removed is no reason to fail: the file itself is right.
            with contextlib.suppress(Locked, OSError):
                discard(part, part.name)


class Partial:
    """A partial file while it is being written, by any number of threads.

    C(etag) is that of the bodies it is made of. C(grip) is what keeps others off the file, and
    C(held) says that somebody is at it.
    """

    def __init__(self, path: Path, identity: Identity, held: Lock, grip: int) -> None:
        self.path = path
        self.identity = identity
        usable = _usable(path, identity)
        self.etag = usable.etag
        self._spans = Spans(usable.ranges)
        self.reused = self._spans.total
        self._lock = held
        self._grip = grip
        self._is_kept = lock.is_kept(path)
        _lock, self._journal, _new, self._note_path = beside(path)
        # Held for moments, by whoever writes; the other one while the disk is waited for.
        self._state = threading.RLock()
        self._saving = threading.Lock()
        self._safe: tuple[Range, ...] | None = None
        self._unsafe_bytes = self._unnoted_bytes = 0
        self._saved_at = self._noted_at = time.monotonic()
        self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
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

    def seed(
        self,
        other: Path,
        ranges: Iterable[Range],
        report: Callable[[int], object] = lambda _done: None,
    ) -> None:
        """Begin with a copy of what somebody else left; the hash of the whole will prove it."""
        with other.open("rb", buffering=0) as stream:
            for at, end in ranges:
                stream.seek(at)
                while at < end and (data := stream.read(min(_COPY, end - at))):
                    self.write(data, at)
                    at += len(data)
                    report(self.done)
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
        self._refuse_loss()
        os.fdatasync(self._handle)
        journal.write(self._journal, journal.Entry(self.identity, ranges, etag))
        self._safe = ranges

    def _refuse_loss(self) -> None:
        if not lock.is_same(self.path, self._grip):
            raise Locked(f"Somebody removed {self.path} while it was written.")
        # Without the one lock, the other is enough where there is one.
        if not self._lock.is_held() and not self._is_kept:
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
        if not lock.is_same(self.path, self._grip):
            return
        for path in (self.path, *beside(self.path)[1:]):
            path.unlink(missing_ok=True)

    def publish(self, dest: Path, finish: Callable[[str], object]) -> None:
        """Give the file its name. From here on nobody opens it for writing."""
        self._refuse_loss()
        # What comes now may fail, and then the next run shall find all of it.
        self.checkpoint()
        os.fsync(self._handle)
        self.close()
        finish(str(self.path))
        self.path.replace(dest)
        _sync_folder(dest.parent)
        for path in beside(self.path)[1:]:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(dest: Path, identity: Identity, what: str, *, own: bool = False) -> Iterator[Partial]:
    """The partial for this file, for one writer alone; Locked if one is at work who is worth
    waiting for.

    Where that is not certain, and with C(own), it is a partial that nobody else uses.
    """
    with contextlib.ExitStack() as stack:
        path, held, grip = _place(stack, dest, identity, what, own=own)
        partial = Partial(path, identity, held, grip)
        try:
            yield partial
        except BaseException:
            with contextlib.suppress(OSError, Locked):
                partial.settle()
            raise
        finally:
            partial.close()


Place = tuple[Path, "Lock", int]


def _place(
    stack: contextlib.ExitStack, dest: Path, identity: Identity, what: str, *, own: bool
) -> Place:
    if not own:
        try:
            return stack.enter_context(_shared(dest, identity, what))
        except Locked as busy:
            if busy.certain:
                raise
    for left in _singles(dest, identity):
        with contextlib.suppress(Locked):
            return stack.enter_context(_alone(left.path, what))
    name = f"{dest.name}.{identity.key}.{secrets.token_hex(4)}.part"
    return stack.enter_context(_alone(dest.with_name(name), what))


@contextlib.contextmanager
def _shared(dest: Path, identity: Identity, what: str) -> Iterator[Place]:
    """The place that every writer tries first, with the best of what dead ones left."""
    path = path_of(dest, identity)
    with lock.held(beside(path)[0], what) as held:
        grip = _grasp(path, what)
        try:
            if _take_over(dest, identity):
                os.close(grip)
                grip = -1
                grip = _grasp(path, what)
            yield path, held, grip
        finally:
            if grip >= 0:
                os.close(grip)


def _take_over(dest: Path, identity: Identity) -> bool:
    """Put what a dead writer had for itself in the place of less."""
    path = path_of(dest, identity)
    for left in _singles(dest, identity):
        if left.total <= _usable(path, identity).total:
            break
        with contextlib.suppress(Locked), _alone(left.path, dest.name):
            # The old journal must never speak of the other file.
            for old in beside(path)[1:]:
                old.unlink(missing_ok=True)
            _sync_folder(path.parent)
            moved = zip(beside(left.path)[1:], beside(path)[1:], strict=True)
            for old, new in ((left.path, path), *moved):
                with contextlib.suppress(FileNotFoundError):
                    old.replace(new)
            return True
    return False


@contextlib.contextmanager
def _alone(path: Path, what: str) -> Iterator[Place]:
    """Have a partial that nobody else has; Locked if that is not so."""
    with lock.held(beside(path)[0], what) as held:
        grip = _grasp(path, what)
        try:
            yield path, held, grip
        finally:
            os.close(grip)


def _grasp(path: Path, what: str) -> int:
    """Keep every other writer off the file, and off nothing else: it is only open for reading.

    Whoever writes has it until the file has its final name, so it is never open for writing then.
    """
    while True:
        flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        grip = os.open(path, flags, 0o600)
        if not lock.alone(grip):
            os.close(grip)
            raise Locked(
                f"{what} is being fetched by another process already, whose lock was removed. "
                f"Wait until it ends; fuser -v {path} says which one it is."
            )
        if lock.is_same(path, grip):
            return grip
        os.close(grip)


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

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have a file at its place: read, decide, apply, read back. Private."""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
import typing as t
from pathlib import Path

from . import attach, partial, pieces, record, resolve, room
from .errors import Changed, DownloadError, Locked, Mismatch, Refused, Transient, Unavailable
from .follower import sha256_of
from .http import Http
from .identity import Identity
from .patience import Patience
from .record import Present, Record
from .source import HubFile, without_secrets
from .spans import Spans
from .transfer import Shape, Transfer

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .resolve import Remote
    from .source import Source
    from .spans import Range

# A mirror that asks for more seconds than these is left out: there are others.
MIRROR_WISH = 5.0
# How often a file may change under one's hands before that is the person's problem.
MAX_CHANGES = 3
# More than this is not read or copied where nothing is fetched for the time it takes.
AT_ONCE = 1024 * 1024 * 1024


class _Overtaken(Exception):
    """Somebody else changed what is at the place."""


class _Long(Exception):
    """To decide alone takes long."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The file that shall be there."""

    source: Source
    dest: Path
    record: Path
    sha256: str | None = None
    size: int | None = None
    # What the first bytes must be.
    magic: bytes = b""
    # Who is asked for the bytes first, in this order.
    mirrors: tuple[Source, ...] = ()
    # Where the file is of a branch: the commit that is meant.
    commit: str | None = None
    # What else the file will take room for.
    room: tuple[room.Room, ...] = ()


@dataclasses.dataclass(frozen=True)
class Manner:
    """How it is done. C(report) gets the bytes done, the bytes in all and the bytes fetched.

    C(enter) gets what is done from now on, and the process that does it if that is another one:
    fetching, copying, verifying or waiting.
    """

    timeout: float = 60
    retries: int = 6
    token: str | None = None
    check_mode: bool = False
    # With C(always) a file that is there is read, whatever the record says.
    verify: t.Literal["auto", "always"] = "auto"
    # With more bytes to fetch than this, nothing is fetched.
    fetch_at_most: int | None = None
    # Otherwise it is decided, and what needs no byte is done.
    fetch: bool = True
    # Whether another writer of the same file is waited for, and how many seconds it may stand
    # still; None for what the timeout makes reasonable.
    attach: bool = True
    wait: float | None = None
    shape: Shape = dataclasses.field(default_factory=Shape)
    # What is done with the complete file just before it gets its name.
    finish: Callable[[str], object] = lambda _path: None
    report: Callable[[int, int, int], None] = lambda _done, _total, _fetched: None
    enter: Callable[[str, int | None], object] = lambda _phase, _pid: None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the decision is. Without C(changed) the file is there, and is right."""

    changed: bool
    size: int
    sha256: str | None
    identity: Identity | None = None
    commit: str | None = None
    version: str | None = None
    remote: Remote | None = None
    present: Present | None = None
    bytes_fetch: int = 0
    bytes_reuse: int = 0
    # Which bytes of the file at the place of the wanted one are good.
    seed: tuple[Range, ...] = ()
    # Why what an earlier download left behind is not used.
    odd: str | None = None
    needs: tuple[room.Need, ...] = ()

    def diff(self, before: Present | None) -> dict[str, t.Any]:
        """The file before and after."""
        after = {"state": "present", "size": self.size, "sha256": self.sha256}
        if not self.changed:
            return {"before": after, "after": dict(after)}
        was = {"state": "present", "size": before.size} if before else {"state": "absent"}
        return {"before": was, "after": after}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was done, or in check mode would be."""

    changed: bool
    diff: dict[str, t.Any]
    sha256: str | None
    size: int
    commit: str | None
    source: str
    bytes_fetched: int = 0
    bytes_reused: int = 0
    retries: int = 0
    deferred: bool = False
    # Another writer was waited for.
    attached: bool = False
    # What is not as it should be, and did no harm.
    warnings: tuple[str, ...] = ()
    # What room it takes, and where.
    needs: tuple[room.Need, ...] = dataclasses.field(default=(), compare=False)


def ensure(wanted: Wanted, manner: Manner) -> Outcome:
    """The file complete and proved at its place, or in check mode the exact prediction."""
    # In check mode an earlier task may have only predicted the folder.
    if not manner.check_mode or wanted.dest.parent.exists():
        _refuse_place(wanted.dest)
    if not manner.check_mode and not wanted.record.parent.is_dir():
        raise Refused(f"The folder {wanted.record.parent} of the record does not exist: make it.")
    endpoint = wanted.source.endpoint if isinstance(wanted.source, HubFile) else ""
    patience = Patience(manner.retries)

    def open_http() -> Http:
        return Http(timeout=manner.timeout, token=manner.token, token_for=endpoint)

    try:
        with open_http() as http:
            work = _Work(wanted, manner, http, open_http, patience)
            try:
                return work.run()
            except (DownloadError, Refused) as error:
                work.add_passed(error)
                raise
    except OSError as error:
        raise _disk(wanted.dest, error) from error


def remove(
    dest: Path, remembered: Path, *, link: Path | None = None, check_mode: bool = False
) -> bool:
    """Remove the file and all that belongs to it, such as the link by which it is known; whether
    there was something to remove.
    """
    _refuse_folder(dest)
    try:
        parts = partial.leftovers(dest)
        ours = [dest, remembered, pieces.place(remembered)]
        files = [path for path in ours if path.exists() or path.is_symlink()]
        if link and link.is_symlink():
            files.append(link)
        if not check_mode:
            for part in parts:
                partial.discard(part, dest.name)
            for path in files:
                path.unlink()
    except OSError as error:
        raise _disk(dest, error) from error
    return bool(parts or files)


class _Work:
    """One run. The numbers count over all attempts."""

    def __init__(
        self,
        wanted: Wanted,
        manner: Manner,
        http: Http,
        open_http: Callable[[], Http],
        patience: Patience,
    ) -> None:
        self.wanted = wanted
        self.manner = manner
        self.http = http
        # For the lanes: each has connections of its own.
        self.open_http = open_http
        self.patience = patience
        self.fetched = 0
        self.changes = 0
        # The commit of a file that was complete once. Its branch may have moved on since.
        self.damaged: str | None = None
        # What was at the place when the decision was made.
        self.before: Present | None = None
        self.attached = False
        # Whether the partial is one that nobody else knows of.
        self.own = not manner.attach
        # Who delivered, and why others did not.
        self.source = wanted.source
        self.passed: dict[str, str] = {}
        self.liars: set[str] = set()
        self.wrong: Mismatch | None = None

    def run(self) -> Outcome:
        reason = ""
        while self.changes < MAX_CHANGES:
            try:
                outcome = self.attempt()
            except (Changed, Locked, _Overtaken) as error:
                reason = str(error)
                self.changes += 1
            else:
                if outcome is not None:
                    return outcome
        raise DownloadError(f"{reason} Tried {MAX_CHANGES} times: run it again later.")

    def is_put_off(self, missing: int) -> bool:
        """Whether so many bytes are more than shall be fetched in this run."""
        most = self.manner.fetch_at_most
        return (missing > 0 and not self.manner.fetch) or (most is not None and missing > most)

    def attempt(self) -> Outcome | None:
        """None if another writer was waited for, so that all is to be decided anew."""
        self.before = before = look(self.wanted.dest)
        try:
            plan = self.decide(before)
        except _Long:
            return self.deferred()
        if self.manner.check_mode:
            return self.outcome(plan, before)
        if not plan.changed:
            return self.confirm(plan)
        if self.is_long(plan):
            return self.deferred(plan)
        try:
            return self.outcome(self.fetch(plan), before)
        except Locked as busy:
            if not busy.certain:
                raise
            if self.manner.fetch_at_most is not None:
                return self.deferred(plan)
            self.wait(plan, busy)
            return None

    def confirm(self, plan: Plan) -> Outcome:
        """What is there is right, perhaps because another writer was faster."""
        self.remember(plan)
        # What a writer that was killed has left is of no use any more.
        partial.discard_others(self.wanted.dest)
        # What was fetched until the file was there came all the same.
        return self.outcome(dataclasses.replace(plan, bytes_fetch=self.fetched), self.before)

    def is_long(self, plan: Plan) -> bool:
        """Whether it is more than shall be done in this run."""
        is_copied = self.manner.fetch_at_most is not None and Spans(plan.seed).total > AT_ONCE
        return is_copied or self.is_put_off(plan.bytes_fetch)

    def wait(self, plan: Plan, busy: Locked) -> None:
        """Let the other writer do it. What it leaves behind, wherever it ends, is decided anew."""
        assert plan.identity is not None
        most = self.manner.wait
        if most is None:
            most = attach.patience(self.manner.timeout)
        self.manner.enter("waiting", busy.details["holder"].get("pid"))
        self.attached = True

        def report(done: int) -> None:
            self.manner.report(done, plan.size, self.fetched)

        self.own = not attach.wait(self.wanted.dest, plan.identity, report, most=most)

    # --- read and decide ---------------------------------------------------------------------

    def decide(self, present: Present | None) -> Plan:
        """The cheapest way to the wanted file: the record, a hash, the source, in this order."""
        known = record.read(self.wanted.record)
        digest: str | None = None
        if present:
            found, digest = self.on_disk(present, known)
            if found:
                return found
        remote, identity = self.ask()
        if present and present.size == identity.size:
            digest = self.proof(present, known, identity, digest)
            if digest:
                return _there(present, digest, identity.commit, identity.version)
        return self.missing(present, known, remote, identity)

    def on_disk(self, present: Present, known: Record | None) -> tuple[Plan | None, str | None]:
        """The plan if the source need not be asked, and the hash if it was taken."""
        wanted, digest = self.wanted, None
        if known and self.is_settled(known):
            if self.believes(known, present):
                digest = known.sha256
            elif known.size == present.size:
                digest = self.hash_of(present)
            if digest == known.sha256:
                return _there(present, digest, known.commit, known.version), digest
            self.damaged = known.commit
        elif wanted.sha256 and wanted.size in (None, present.size):
            digest = self.hash_of(present)
            if digest == wanted.sha256:
                return _there(present, digest, None, None), digest
        return None, digest

    def proof(
        self, present: Present, known: Record | None, identity: Identity, digest: str | None
    ) -> str | None:
        """The hash of the file that is there, if it is the one of the source."""
        expected = identity.sha256
        if expected is None and known and _same_version(known, identity):
            expected = known.sha256
        if expected is None:
            return None
        if known and self.believes(known, present):
            digest = known.sha256
        digest = digest or self.hash_of(present)
        return digest if digest == expected else None

    def believes(self, known: Record, present: Present) -> bool:
        """Whether the record is enough, and the file need not be read."""
        return self.manner.verify == "auto" and known.describes(present)

    def hash_of(self, present: Present) -> str:
        """The SHA-256 of the file that is there. All of it is read."""
        if self.manner.fetch_at_most is not None and present.size > AT_ONCE:
            raise _Long
        self.manner.enter("verifying", None)
        return sha256_of(
            self.wanted.dest, lambda done: self.manner.report(done, present.size, self.fetched)
        )

    def is_settled(self, known: Record) -> bool:
        """Whether the recorded file is what is asked for, whatever the source has now."""
        wanted = self.wanted
        if wanted.size not in (None, known.size):
            return False
        if wanted.sha256:
            return wanted.sha256 == known.sha256
        return wanted.source.asked == known.asked

    def ask(self) -> tuple[Remote | None, Identity]:
        """What the source offers; with a given hash, a mirror's word is as good."""
        wanted = self.wanted
        for _mirror, remote in self.mirrored(wanted.size, wanted.sha256):
            if remote.size is not None and wanted.sha256:
                # Whoever delivers it, and whatever that one calls it.
                digest = wanted.sha256
                return None, Identity(wanted.source.name, remote.size, digest, digest)
        remote = self.resolved()
        identity = self.identify(remote)
        if wanted.mirrors and not identity.sha256:
            raise Refused(
                f"Nothing would prove what a mirror delivers, because {wanted.source.name} states "
                "no SHA-256. Name it in sha256, or leave out mirrors."
            )
        return remote, identity

    def resolved(self) -> Remote:
        """What the source has now, or of what is damaged what it had then."""
        try:
            return resolve.resolve(self.http, self.origin(), self.patience)
        except Unavailable:
            if self.damaged is None:
                raise
        # That commit is no more.
        self.damaged = None
        return resolve.resolve(self.http, self.origin(), self.patience)

    def origin(self) -> Source:
        """Who is asked for what the source has."""
        source, commit = self.wanted.source, self.wanted.commit or self.damaged
        if isinstance(source, HubFile) and commit:
            return dataclasses.replace(source, revision=commit)
        return source

    def mirrored(self, size: int | None, sha256: str | None) -> Iterator[tuple[Source, Remote]]:
        """The mirrors that offer this file. Those that do not are noted and left out."""
        if sha256 is None:
            return
        for mirror in self.wanted.mirrors:
            if mirror.name in self.liars:
                continue
            try:
                remote = resolve.resolve(
                    self.http, mirror, Patience(min(self.manner.retries, 1), longest=MIRROR_WISH)
                )
                resolve.size_of(remote, size, mirror.name)
                resolve.sha256_of(remote, sha256, mirror.name)
            except (DownloadError, Refused) as error:
                self.passed[mirror.name] = _fault(error)
            else:
                yield mirror, remote

    def identify(self, remote: Remote) -> Identity:
        """Which file it is; Refused if it is not the wanted one."""
        wanted, name = self.wanted, self.wanted.source.name
        size = resolve.size_of(remote, wanted.size, name)
        if size < len(wanted.magic):
            raise Refused(
                f"{name} does not send a file of the wanted format: it has {size} bytes. "
                "Nothing was fetched."
            )
        return Identity(
            source=name,
            size=size,
            sha256=resolve.sha256_of(remote, wanted.sha256, name),
            version=remote.version,
            commit=remote.commit,
        )

    def missing(
        self,
        present: Present | None,
        known: Record | None,
        remote: Remote | None,
        identity: Identity,
    ) -> Plan:
        kept = partial.peek(self.wanted.dest, identity)
        seed = self.good(present, known, identity)
        reuse = max(kept.total, Spans(seed).total)
        fetch = identity.size - reuse
        dest, size = self.wanted.dest, identity.size
        needs = room.needs(dest, size - kept.total, size, self.wanted.room)
        if not self.is_put_off(fetch):
            room.refuse(needs)
        return Plan(
            True,
            identity.size,
            identity.sha256,
            identity=identity,
            commit=identity.commit,
            version=identity.version,
            remote=remote,
            present=present,
            bytes_fetch=fetch,
            bytes_reuse=reuse,
            seed=seed if reuse > kept.total else (),
            odd=kept.odd,
            needs=needs,
        )

    def good(
        self, present: Present | None, known: Record | None, identity: Identity
    ) -> tuple[Range, ...]:
        """Which bytes of the file at the place may be those of the wanted one."""
        if present is None:
            return ()
        if present.size == identity.size:
            # It is not the wanted file, so it is another one or a damaged one.
            sha256 = identity.sha256
            if sha256 is None and known and _same_version(known, identity):
                sha256 = known.sha256
            noted = pieces.read(pieces.place(self.wanted.record))
            if noted is None or (noted.size, noted.sha256) != (identity.size, sha256):
                return ()
            return tuple(pieces.sound(self.wanted.dest, noted))
        if identity.sha256 is None:
            return ()
        # Something shorter under the final name that nobody recorded as complete is what another
        # tool left behind; whether it is the beginning, the hash of the whole will tell.
        is_rest = present.size < identity.size and not (known and known.describes(present))
        return ((0, present.size),) if is_rest else ()

    # --- apply -------------------------------------------------------------------------------

    def fetch(self, plan: Plan) -> Plan:
        """Bring the file."""
        assert plan.identity is not None
        dest, identity = self.wanted.dest, plan.identity
        with partial.opened(dest, identity, str(dest), own=self.own) as part:
            self.refuse_overtaking()
            self.seed(part, plan)
            digest = self.complete(part, plan)
            hashes = tuple(part.pieces())
            # Another writer may have been here first, and its file may be in use by now.
            self.refuse_overtaking()
            part.publish(dest, self.manner.finish)
            done = dataclasses.replace(
                plan,
                sha256=digest,
                present=look(dest),
                bytes_fetch=self.fetched,
                bytes_reuse=part.reused,
            )
            # With the lock: who waits for it shall not read the whole file.
            self.remember(done)
            self.remember_pieces(pieces.Pieces(identity.size, digest, hashes))
        partial.discard_others(dest)
        return done

    def refuse_overtaking(self) -> None:
        if look(self.wanted.dest) != self.before:
            raise _Overtaken("The file at its place changes all the time.")

    def seed(self, part: partial.Partial, plan: Plan) -> None:
        """Begin with what is there already, if that is more."""
        dest, ranges = self.wanted.dest, plan.seed
        kept = partial.peek(dest, part.identity)
        # Another writer has it. What it wrote may be read, and the hash will prove it.
        if part.identity.sha256 and kept.total > Spans(ranges).total:
            dest, ranges = kept.path, kept.ranges
        if dest == part.path or Spans(ranges).total <= part.done:
            return
        part.rewind()
        self.manner.enter("copying", None)
        total = Spans(ranges).total
        part.seed(dest, ranges, lambda done: self.manner.report(done, total, self.fetched))

    def complete(self, part: partial.Partial, plan: Plan) -> str:
        """Fetch what is missing and prove the whole, from whoever delivers; gives its SHA-256."""
        for mirror, remote in self.mirrored(part.identity.size, part.identity.sha256):
            part.etag = None
            try:
                return self.complete_from(part, mirror, remote)
            except Mismatch as error:
                if self.wrong:
                    part.remove()
                    raise
                self.wrong = error
                self.liars.add(mirror.name)
                self.passed[mirror.name] = _fault(error)
                if plan.remote is None:
                    # What it said of the size was believed as well.
                    raise Changed(str(error)) from error
            except DownloadError as error:
                if isinstance(error, Locked):
                    raise
                self.passed[mirror.name] = _fault(error)
            self.patience.refill()
        source = self.wanted.source
        try:
            remote = self.offered(plan, part.identity)
            return self.complete_from(part, source, remote)
        except Mismatch:
            part.remove()
            raise
        except (DownloadError, Refused) as error:
            if self.wrong is None or isinstance(error, Changed):
                raise
            # That a mirror lied is the worse news, but not the only one.
            self.wrong.args = (f"{self.wrong} Then the source failed: {error}",)
            raise self.wrong from error

    def offered(self, plan: Plan, identity: Identity) -> Remote:
        """What the source has of this file; Changed if mirrors alone said how large it is."""
        source = self.wanted.source
        remote = plan.remote or self.resolved()
        if self.identify(remote).size != identity.size:
            self.liars.update(mirror.name for mirror in self.wanted.mirrors)
            raise Changed(f"{source.name} has another size than its mirrors.")
        return remote

    def complete_from(self, part: partial.Partial, source: Source, remote: Remote) -> str:
        identity = part.identity
        while True:
            reused = part.done
            self.transfer(part, source, remote)
            self.manner.enter("verifying", None)
            digest = part.digest()
            if identity.version and not (identity.sha256 or identity.commit or part.etag):
                # Answers without an ETag do not say which version they are of.
                self.refuse_splice(part, source, remote)
            if identity.sha256 in (None, digest):
                self.source = source
                return digest
            part.rewind()
            if not reused:
                self.refuse_change(identity, source, remote)
                asked = "Is sha256 right? If it is, is" if self.wanted.sha256 else "Is"
                raise Mismatch(
                    f"{source.name} came with the SHA-256 {digest}, but {identity.sha256} was "
                    f"expected. What was fetched is removed. {asked} the source damaged, or does "
                    "something in between change files?",
                    expected=identity.sha256,
                    got=digest,
                )
            # What lay there before may be to blame, so everything is fetched once more.

    def transfer(self, part: partial.Partial, source: Source, remote: Remote) -> None:
        size, already = part.identity.size, self.fetched

        def report(done: int) -> None:
            self.refuse_overtaking()
            self.fetched = already + transfer.received
            self.manner.report(done, size, self.fetched)

        transfer = Transfer(
            self.open_http,
            remote,
            part,
            self.patience,
            is_same=lambda: self.is_same(part.identity, source, remote),
            report=report,
            magic=self.wanted.magic,
            shape=self.manner.shape,
            keeps_etag=source is self.wanted.source,
        )
        self.manner.enter("fetching", None)
        try:
            transfer.run()
        finally:
            self.fetched = already + transfer.received

    def is_same(self, identity: Identity, source: Source, before: Remote) -> bool:
        if isinstance(source, HubFile) and identity.commit:
            # That the branch moves meanwhile does not concern what is being fetched.
            source = dataclasses.replace(source, revision=identity.commit)
        remote = resolve.resolve(self.http, source, self.patience)
        return (remote.size, remote.sha256, remote.version) == (
            before.size,
            before.sha256,
            before.version,
        )

    def refuse_change(self, identity: Identity, source: Source, before: Remote) -> None:
        """Raise Changed if these may have been parts of two versions, for which nobody lied."""
        try:
            same = self.is_same(identity, source, before)
        except (DownloadError, Refused):
            # That what came is wrong matters more.
            return
        if not same:
            raise Changed(f"{source.name} changed while it was fetched.")

    def refuse_splice(self, part: partial.Partial, source: Source, before: Remote) -> None:
        """Raise Changed, and forget it all, if these may be parts of two versions."""
        if not self.is_same(part.identity, source, before):
            part.rewind()
            raise Changed(f"{source.name} changed while it was fetched.")

    # --- read back ---------------------------------------------------------------------------

    def remember(self, plan: Plan) -> None:
        """Write down what is there, so that the next run needs no network and no hash."""
        assert plan.present is not None
        assert plan.sha256 is not None
        remembered = Record(
            size=plan.present.size,
            mtime_ns=plan.present.mtime_ns,
            sha256=plan.sha256,
            asked=self.wanted.source.asked,
            source=self.wanted.source.name,
            version=plan.version,
            commit=plan.commit,
        )
        if record.read(self.wanted.record) != remembered:
            record.write(self.wanted.record, remembered)

    def remember_pieces(self, noted: pieces.Pieces) -> None:
        """With them, damage costs as much as it is large; a file of one piece needs none."""
        path = pieces.place(self.wanted.record)
        if len(noted.hashes) > 1:
            pieces.write(path, noted)
        else:
            path.unlink(missing_ok=True)

    def add_passed(self, error: Exception) -> None:
        """Have the error say as well what was wrong with those who were asked before."""
        said = str(error)
        others = [text for text in self.passed.values() if text not in said]
        if others:
            error.args = (f"{said} Of the mirrors: {' '.join(others)}",)

    def outcome(self, plan: Plan, before: Present | None) -> Outcome:
        source = self.source
        where = source.at(plan.commit or source.revision) if isinstance(source, HubFile) else None
        return Outcome(
            changed=plan.changed,
            diff=plan.diff(before),
            sha256=plan.sha256,
            size=plan.size,
            commit=plan.commit,
            source=without_secrets(where) if where else source.name,
            bytes_fetched=plan.bytes_fetch,
            bytes_reused=plan.bytes_reuse,
            retries=self.patience.used,
            attached=self.attached,
            warnings=(
                *filter(None, [plan.odd]),
                *(f"A mirror is left out. {fault}" for fault in self.passed.values()),
            ),
            needs=plan.needs,
        )

    def deferred(self, plan: Plan | None = None) -> Outcome:
        """What is said where nothing was done, because it takes long."""
        if plan is None:
            plan = Plan(False, self.before.size if self.before else 0, None)
        return dataclasses.replace(self.outcome(plan, self.before), deferred=True)


def _fault(error: Exception) -> str:
    """What went wrong, without what to do if nobody else delivers."""
    cause = error.__cause__
    return str(cause if isinstance(cause, Transient) else error)


def look(dest: Path) -> Present | None:
    """The file at this place, if there is one."""
    try:
        found = dest.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{dest} is there already and is not a file.")
    return Present(found.st_size, found.st_mtime_ns)


def _there(present: Present, sha256: str, commit: str | None, version: str | None) -> Plan:
    return Plan(False, present.size, sha256, commit=commit, version=version, present=present)


def _same_version(known: Record, identity: Identity) -> bool:
    return (
        known.source == identity.source
        and known.size == identity.size
        and known.version is not None
        and known.version == identity.version
    )


def _refuse_folder(dest: Path) -> None:
    if dest.is_dir():
        raise Refused(f"dest {dest} is a folder: name the file in it.")


def _refuse_place(dest: Path) -> None:
    _refuse_folder(dest)
    if not dest.parent.is_dir():
        raise Refused(f"The folder {dest.parent} does not exist: make it first.")
    if not os.access(dest.parent, os.W_OK | os.X_OK):
        raise Refused(
            f"Nothing can be written to the folder {dest.parent}: run this with become, or name "
            "another dest."
        )


def _disk(dest: Path, error: OSError) -> DownloadError:
    place = dest.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError(
            f"{place} is full. What was fetched is kept: make room and run it again."
        )
    if error.errno == errno.EFBIG:
        return DownloadError(
            f"A file in {place} may not become larger than it is: the file system or a limit "
            "(ulimit -f) is in the way. What was fetched is kept: lift it and run it again."
        )
    return DownloadError(f"{error.filename or place}: {error.strerror or error}.")

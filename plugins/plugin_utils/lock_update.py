# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts have deployed and verified, brought into the lock. Private."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import typing as t
from pathlib import Path

import yaml
from ansible_collections.edgellm.host.plugins.module_utils.atomic import write_bytes
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import manifest, names

from .lock import FORMAT, LINK, LOCK_FILE, Entry, Lock, check_commit, check_sha256, check_way, load

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_KINDS = ("registry", "gguf", "from")
# In the order of the file.
_GGUF_KEYS = ("repo", "url", "file", "commit", "sha256", "size")
_HEADER = """\
---
# Which models were deployed and have answered. Keep this in version control, and manifests/ too.
# Written by edgellm.host: playbooks/site.yml adds what is missing, and only playbooks/models.yml
# changes what is there. Comments do not stay.
"""


@dataclasses.dataclass(frozen=True)
class Offer:
    """A model that a host serves, and that has answered there."""

    name: names.Name
    entry: Entry
    manifest: bytes | None = None
    host: str = ""


def offer(said: Mapping[str, t.Any]) -> Offer:
    """What a host offers, as the module is told it; Refused when it cannot be right."""
    name = names.parse(said["name"])
    try:
        entry, raw = _offered(name.short, said)
    except Refused as error:
        raise Refused(f"The entry of {name.short}: {error}") from error
    return Offer(name, entry, raw, said.get("host") or "")


def _offered(name: str, said: Mapping[str, t.Any]) -> tuple[Entry, bytes | None]:
    kinds = [kind for kind in _KINDS if said.get(kind)]
    if len(kinds) != 1:
        raise Refused("it needs registry, gguf or from, exactly one.")
    digest = str(names.parse_digest(said["digest"]))
    if kinds == ["registry"]:
        return _from_registry(name, said["registry"], digest, said.get("manifest"))
    way = LINK if said.get("import_method") == LINK else said.get("server_version")
    if not way or not said.get("spec"):
        raise Refused(
            "a created model needs spec, and the server_version that created it unless "
            "import_method is link."
        )
    check_way(way)
    check_sha256(said["spec"])
    source = _gguf(said["gguf"]) if kinds == ["gguf"] else _base(said["from"])
    return Entry(name, **source, spec=said["spec"], digests={way: digest}), None


def _gguf(said: Mapping[str, t.Any]) -> dict[str, t.Any]:
    file = {key: said[key] for key in _GGUF_KEYS if said.get(key)}
    check_sha256(file["sha256"])
    if "commit" in file:
        check_commit(file["commit"])
    if file.get("size", 0) <= 0:
        raise Refused("the size of its GGUF file must be above 0.")
    return {"gguf": file}


def _base(said: Mapping[str, t.Any]) -> dict[str, t.Any]:
    digest = str(names.parse_digest(said["digest"]))
    return {"base": {"name": names.parse(said["name"]).full, "digest": digest}}


def _from_registry(name: str, registry: str, digest: str, text: str | None) -> tuple[Entry, bytes]:
    if not text:
        raise Refused("a model from a registry needs its manifest, or it could never be rebuilt.")
    raw = text.encode()
    if manifest.digest_of(raw) != digest:
        raise Refused(
            f"its digest is {digest}, but the SHA-256 of its manifest is "
            f"{manifest.digest_of(raw)}. The manifest is needed to the letter."
        )
    try:
        size = manifest.parse(raw).size
    except ValueError as error:
        raise Refused(f"its manifest is none: {error}.") from error
    return Entry(name, registry=names.parse(registry).full, digest=digest, size=size), raw


@dataclasses.dataclass(frozen=True)
class Drift:
    """A host that has something else than the lock; nothing was changed for it."""

    name: str
    host: str
    what: str
    locked: object
    found: object
    why: str

    @property
    def message(self) -> str:
        who = f"{self.host}: " if self.host else ""
        return (
            f"{who}{self.name} has the {self.what} {self.found}, but {self.locked} is locked "
            f"{self.why}."
        )

    def to_result(self) -> dict[str, t.Any]:
        said = dataclasses.asdict(self)
        return {**said, "host": self.host or None, "message": self.message}


@dataclasses.dataclass(frozen=True)
class Merged:
    """The lock after it was merged with what hosts have, and what that changes.

    C(outcomes) says of every model whether it was added, replaced or unchanged.
    """

    before: Lock
    after: Lock
    outcomes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    drift: tuple[Drift, ...] = ()

    @property
    def changed(self) -> bool:
        return self.after is not self.before

    @property
    def new_manifests(self) -> dict[str, bytes]:
        return _only(self.after.manifests, self.before.manifests)

    @property
    def old_manifests(self) -> dict[str, bytes]:
        """Those that nothing needs any more."""
        return _only(self.before.manifests, self.after.manifests)

    def named(self, outcome: str) -> list[str]:
        """The models that had this outcome, in the order of their names."""
        return sorted(name for name, what in self.outcomes.items() if what == outcome)

    @property
    def diff(self) -> list[dict[str, str]]:
        if not self.changed:
            return []
        path = self.after.manifest
        return [
            _diff(self.after.path, self.before.text, self.after.text),
            *(_diff(path(digest), "", _shown(raw)) for digest, raw in self.new_manifests.items()),
            *(_diff(path(digest), _shown(raw), "") for digest, raw in self.old_manifests.items()),
        ]


def _only(these: Mapping[str, bytes], those: Mapping[str, bytes]) -> dict[str, bytes]:
    return {digest: these[digest] for digest in sorted(these) if digest not in those}


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _diff(path: Path, before: str, after: str) -> dict[str, str]:
    return {
        "before_header": str(path),
        "after_header": str(path),
        "before": before,
        "after": after,
    }


def merge(lock: Lock, offers: Iterable[Offer], update: Iterable[names.Name] = ()) -> Merged:
    """The lock with the models that it lacks, and with other versions of those to update.

    What the first offer has settled, a later one cannot change: the hosts must agree.
    """
    merging = _Merging(lock, frozenset(name.key for name in update))
    for found in offers:
        merging.take(found)
    return merging.result()


class _Merging:
    """A lock that fills up, offer by offer."""

    def __init__(self, lock: Lock, to_update: frozenset[str]) -> None:
        self._lock = lock
        self._to_update = to_update
        self._entries = dict(lock.entries)
        self._manifests = dict(lock.manifests)
        # Which host had the first say on a model.
        self._settled: dict[str, str] = {}
        self._outcomes: dict[str, str] = {}
        self._drift: list[Drift] = []

    def take(self, found: Offer) -> None:
        key = found.name.key
        known = self._entries.get(key)
        difference = _difference(known, found.entry) if known else None
        if known is None:
            self._put(found, found.entry, "added")
        elif difference is None:
            joined = _joined(known, found.entry)
            self._put(found, joined, "unchanged" if joined == known else "added")
        elif key in self._to_update and key not in self._settled:
            self._put(found, found.entry, "replaced")
        else:
            why = self._why(key, known)
            self._drift.append(Drift(known.name, found.host, *difference, why))

    def _put(self, found: Offer, entry: Entry, outcome: str) -> None:
        key = found.name.key
        self._entries[key] = entry
        self._settled.setdefault(key, found.host)
        if self._outcomes.get(entry.name, "unchanged") == "unchanged":
            self._outcomes[entry.name] = outcome
        if entry.digest and found.manifest:
            self._manifests[entry.digest] = found.manifest

    def _why(self, key: str, known: Entry) -> str:
        if key in self._settled:
            return f"by {self._settled[key] or 'another host'} now"
        return f"({self._lock.where(known)}); only playbooks/models.yml changes the lock"

    def result(self) -> Merged:
        after = self._lock
        if self._entries != self._lock.entries:
            needed = {entry.digest for entry in self._entries.values()}
            after = Lock(
                self._lock.path,
                _render(self._entries),
                self._entries,
                {digest: raw for digest, raw in self._manifests.items() if digest in needed},
            )
        return Merged(self._lock, after, self._outcomes, tuple(self._drift))


def _difference(known: Entry, found: Entry) -> tuple[str, object, object] | None:
    """The first thing by which two entries are different models, and what each has there."""
    locked, has = known.identity(), found.identity()
    for what in locked:
        # The server takes names in small and large letters for the same.
        if what in has and str(locked[what]).lower() != str(has[what]).lower():
            return what, locked[what], has[what]
    return None


def _joined(known: Entry, found: Entry) -> Entry:
    """The same model, with the digests of both: another server gives it another one."""
    return dataclasses.replace(known, digests={**known.digests, **found.digests})


def _render(entries: Mapping[str, Entry]) -> str:
    models = {entries[key].name: entries[key].said() for key in sorted(entries)}
    said = yaml.safe_dump(
        {"format": FORMAT, "models": models},
        sort_keys=False,
        allow_unicode=True,
        # A line per value, however long.
        width=2**31,
    )
    return _HEADER + str(said)


def update(
    directory: Path,
    offers: Sequence[Offer],
    replace: Sequence[names.Name] = (),
    *,
    check_mode: bool = False,
) -> Merged:
    """The lock in this directory, brought up to date unless in check mode."""
    merged = merge(load(directory), offers, replace)
    if check_mode or not merged.changed:
        return merged
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _alone(directory / f".{LOCK_FILE}.busy"):
            # Somebody else may have been faster.
            merged = merge(load(directory), offers, replace)
            if merged.changed:
                _write(merged)
    except OSError as error:
        raise Refused(
            f"The lock cannot be written to {directory}: {error.strerror}. Set edgellm_models_dir "
            "to a directory on the controller that you may write to."
        ) from error
    return merged


def _write(merged: Merged) -> None:
    # In this order: whatever happens in between, every entry has its manifest.
    for digest, raw in merged.new_manifests.items():
        path = merged.after.manifest(digest)
        path.parent.mkdir(exist_ok=True)
        write_bytes(path, raw)
    write_bytes(merged.after.path, merged.after.text.encode())
    for digest in merged.old_manifests:
        merged.after.manifest(digest).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until nobody else is in here; the file for that goes again."""
    handle = _claimed(path)
    while handle is None:
        handle = _claimed(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _claimed(path: Path) -> int | None:
    """The file, locked, or None if it was removed by whoever had it before."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_same(path, handle):
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _is_same(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False

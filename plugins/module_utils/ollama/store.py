# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama's store on disk: where things lie, what is there, and what needs what. Private.

A server may write while this reads, so a file that vanishes meanwhile was never there.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import os
import re
import stat
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import names
from .manifest import Manifest, digest_of, parse

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BLOBS = "blobs"
MANIFESTS = "manifests"

_BLOB = re.compile(r"sha256-(?P<hex>[0-9a-f]{64})")
_PARTIAL = re.compile(r"sha256-(?P<hex>[0-9a-f]{64})-partial(-[0-9]+)?")
# What an upload is written to before its digest is known.
_STRAY = re.compile(r"sha256-[0-9]{1,20}")


@dataclasses.dataclass(frozen=True)
class File:
    """A file in blobs/ as it was when it was seen; it changed if it is not equal any more."""

    name: str
    size: int
    allocated: int
    modified: float
    changed: float
    links: int
    device: int
    inode: int

    @property
    def touched(self) -> float:
        """When somebody last did something with it: a new hard link leaves the mtime as it is."""
        return max(self.modified, self.changed)

    @property
    def linked(self) -> bool:
        """Whether the same file has another name too, so that removing this one frees nothing."""
        return self.links > 1

    @property
    def on_disk(self) -> int:
        """The bytes it takes: a download in progress is as long as the whole, but mostly holes."""
        return min(self.size, self.allocated)


@dataclasses.dataclass(frozen=True)
class StoredManifest:
    """A file below manifests/, or a folder there that cannot be read.

    Without a name the server does not see it. With an error nobody knows which blobs it needs.
    """

    path: Path
    name: names.Name | None
    raw: bytes = b""
    manifest: Manifest | None = None
    error: str | None = None

    def as_listed(self, digest: str) -> bytes | None:
        """The bytes that have this digest of the server's list, or None if the file has others.

        The server hashes what its JSON decoder has read. If a manifest ends exactly where the
        decoder's buffer does (512 bytes, 1536, ...), the newline after it is not part of that.
        """
        for raw in (self.raw, self.raw.removesuffix(b"\n")):
            if digest_of(raw) == digest:
                return raw
        return None


@dataclasses.dataclass(frozen=True)
class Disk:
    """The file system below the store, in bytes."""

    size: int
    free: int


@dataclasses.dataclass(frozen=True)
class Contents:
    """Everything in a store at one time. Blobs and partial downloads are found by digest."""

    manifests: tuple[StoredManifest, ...] = ()
    blobs: Mapping[str, File] = dataclasses.field(default_factory=dict)
    partials: Mapping[str, tuple[File, ...]] = dataclasses.field(default_factory=dict)
    strays: tuple[File, ...] = ()

    @property
    def broken(self) -> tuple[StoredManifest, ...]:
        """What cannot be read; while there is any, nobody knows which blobs are needed."""
        return tuple(entry for entry in self.manifests if entry.error is not None)

    @functools.cached_property
    def references(self) -> Mapping[str, tuple[StoredManifest, ...]]:
        """The manifests that need a blob."""
        found: dict[str, list[StoredManifest]] = collections.defaultdict(list)
        for entry in self.manifests:
            for digest in entry.manifest.blobs if entry.manifest else ():
                found[digest].append(entry)
        return {digest: tuple(entries) for digest, entries in found.items()}

    @property
    def orphans(self) -> Mapping[str, File] | None:
        """The blobs that no manifest needs, or None if nobody knows."""
        if self.broken:
            return None
        return {
            digest: file for digest, file in self.blobs.items() if digest not in self.references
        }

    def find(self, name: names.Name) -> StoredManifest | None:
        """The manifest of a model, whatever the spelling of its letters."""
        named = [entry for entry in self.manifests if entry.name and entry.name.key == name.key]
        return next((entry for entry in named if entry.name == name), named[0] if named else None)

    def files_of(self, entry: StoredManifest) -> list[File]:
        """The blobs of a model that are there."""
        needed = entry.manifest.blobs if entry.manifest else ()
        return [self.blobs[digest] for digest in needed if digest in self.blobs]

    def only_in(self, keys: Iterable[str]) -> Mapping[str, File]:
        """The blobs that only the models with these keys need."""
        leaving = frozenset(keys)
        return {
            digest: self.blobs[digest]
            for digest, entries in self.references.items()
            if digest in self.blobs
            and all(entry.name and entry.name.key in leaving for entry in entries)
        }


def freed_by(files: Iterable[File]) -> int:
    """The bytes that come free when all these are removed: a file lives until its last name."""
    groups: dict[tuple[int, int], list[File]] = collections.defaultdict(list)
    for file in files:
        groups[file.device, file.inode].append(file)
    return sum(group[0].on_disk for group in groups.values() if len(group) >= group[0].links)


@dataclasses.dataclass(frozen=True)
class Store:
    """The directory that OLLAMA_MODELS names, as this host sees it."""

    root: Path

    @property
    def blobs(self) -> Path:
        return self.root / BLOBS

    @property
    def manifests(self) -> Path:
        return self.root / MANIFESTS

    def blob(self, digest: str) -> Path:
        """Where the blob sha256:<hex> lies, or would lie."""
        return self.blobs / digest.replace(":", "-")

    def manifest(self, name: names.Name) -> Path:
        """Where the manifest of a model lies, or would lie."""
        return self.manifests / name.host / name.namespace / name.model / name.tag

    def check(self) -> None:
        """Refuse a folder that is not a store."""
        try:
            found = {entry.name for entry in self.root.iterdir()} & {BLOBS, MANIFESTS}
            complaint = f"it has neither {BLOBS}/ nor {MANIFESTS}/"
        except OSError as error:
            found, complaint = set(), str(error.strerror)
        if not found:
            raise Refused(
                f"{self.root} is not a store of Ollama: {complaint}. Name the folder that the "
                "server knows as OLLAMA_MODELS, by its path on this host; on a host of "
                "edgellm.host that is /srv/edgellm/data/models, and root may read it."
            )

    def read(self) -> Contents:
        """What is in the store now."""
        self.check()
        # Blobs before manifests: a model made meanwhile has blobs that are not seen, which does
        # no harm. The other way round its blobs would look as if nobody needed them.
        blobs: dict[str, File] = {}
        partials: dict[str, list[File]] = collections.defaultdict(list)
        strays: list[File] = []
        for file in self._files():
            if match := _BLOB.fullmatch(file.name):
                blobs[f"sha256:{match['hex']}"] = file
            elif match := _PARTIAL.fullmatch(file.name):
                partials[f"sha256:{match['hex']}"].append(file)
            elif _STRAY.fullmatch(file.name):
                strays.append(file)
        return Contents(
            self.read_manifests(),
            blobs,
            {digest: tuple(files) for digest, files in partials.items()},
            tuple(strays),
        )

    def read_manifests(self) -> tuple[StoredManifest, ...]:
        """Every file below manifests/, and every folder there that cannot be read."""
        if not self.manifests.is_dir():
            return (StoredManifest(self.manifests, None, error="there is no such folder"),)
        return tuple(sorted(self._manifests(self.manifests, set()), key=lambda entry: entry.path))

    def disk(self) -> Disk:
        """How much room there is."""
        self.check()
        told = os.statvfs(self.root)
        return Disk(told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize)

    def partial_bytes(self, digest: str) -> int:
        """How much of a blob an interrupted pull has left, as its journals tell."""
        stem = f"{self.blob(digest).name}-partial-"
        return sum(_completed(path) for path in self.blobs.glob(f"{stem}*"))

    def remove(self, files: Iterable[File]) -> bool:
        """Remove files of blobs/; False, and nothing removed, if one is not as it was seen."""
        files = list(files)
        # Through the folder itself: a symbolic link put in its place cannot lead elsewhere.
        folder = os.open(self.blobs, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if any(_look(file.name, folder) != file for file in files):
                return False
            for file in files:
                os.unlink(file.name, dir_fd=folder)
        except FileNotFoundError:
            return False
        finally:
            os.close(folder)
        return True

    def _files(self) -> list[File]:
        try:
            folder = os.open(self.blobs, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with os.scandir(folder) as entries:
                    listed = sorted(entry.name for entry in entries)
                return [file for name in listed if (file := _look(name, folder))]
            finally:
                os.close(folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Refused(f"{self.blobs} cannot be read: {error.strerror}.") from error

    def _manifests(self, folder: Path, above: set[tuple[int, int]]) -> Iterator[StoredManifest]:
        try:
            told = folder.stat()
            entries = sorted(folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            yield StoredManifest(folder, None, error=error.strerror)
            return
        here = (told.st_dev, told.st_ino)
        # The server follows symbolic links; one that leads back up has nothing new.
        if here in above:
            return
        for entry in entries:
            if entry.is_dir():
                yield from self._manifests(entry, above | {here})
            elif found := self._manifest(entry):
                yield found

    def _manifest(self, path: Path) -> StoredManifest | None:
        name, raw = self._name_of(path), b""
        try:
            raw = path.read_bytes()
            # Python would guess UTF-16 too, the server does not.
            raw.decode()
            return StoredManifest(path, name, raw, parse(raw))
        except FileNotFoundError as error:
            # A link to nothing stays: what it led to may only be not mounted.
            return StoredManifest(path, name, error=error.strerror) if path.is_symlink() else None
        except OSError as error:
            return StoredManifest(path, name, error=error.strerror)
        except (ValueError, TypeError) as error:
            return StoredManifest(path, name, raw, error=str(error) or "not a manifest")

    def _name_of(self, path: Path) -> names.Name | None:
        parts = path.relative_to(self.manifests).parts
        if len(parts) != 4:
            return None
        name = names.Name(*parts)
        named = dataclasses.asdict(name).items()
        return name if all(names.is_valid_part(kind, part) for kind, part in named) else None


def _look(name: str, folder: int) -> File | None:
    try:
        told = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(told.st_mode):
        return None
    return File(
        name=name,
        size=told.st_size,
        allocated=told.st_blocks * 512,
        modified=told.st_mtime,
        changed=told.st_ctime,
        links=told.st_nlink,
        device=told.st_dev,
        inode=told.st_ino,
    )


def _completed(path: Path) -> int:
    try:
        part = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return 0
    done = part.get("Completed") if isinstance(part, dict) else None
    return done if isinstance(done, int) and done > 0 else 0

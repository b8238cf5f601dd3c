# SPDX-License-Identifier: GPL-3.0-or-later
"""The store on disk: `blobs/sha256-<hex>` and `manifests/<host>/<namespace>/<model>/<tag>`."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import time
import typing as t
from pathlib import Path

from lab.ollama import gojson, log
from lab.ollama.errors import ApiError
from lab.ollama.names import Name

MEDIA_PREFIX = "application/vnd.ollama.image."
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
PRUNE_GRACE_SECONDS = 3600
DIGEST = re.compile(r"^sha256[:-][0-9a-fA-F]{64}$")


@dataclasses.dataclass(frozen=True)
class Layer:
    """A blob in a role."""

    media_type: str
    digest: str
    size: int
    origin: str = ""

    @property
    def kind(self) -> str:
        """The last word of the media type: model, template, params, …"""
        return self.media_type.removeprefix(MEDIA_PREFIX)

    def to_json(self) -> dict[str, t.Any]:
        entry: dict[str, t.Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.origin:
            entry["from"] = self.origin
        return entry


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A manifest as read from disk or from a registry."""

    raw: bytes
    config: Layer
    layers: tuple[Layer, ...]

    @property
    def digest(self) -> str:
        """Hex sha256 of the manifest's bytes, as far as the real server reads them."""
        return hashlib.sha256(self.raw[: _read_length(self.raw)]).hexdigest()

    @property
    def blobs(self) -> tuple[Layer, ...]:
        """Layers, then the config, in the order they are pulled."""
        return (*self.layers, self.config) if self.config.digest else self.layers

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.blobs)

    def of_kind(self, kind: str) -> list[Layer]:
        return [layer for layer in self.layers if layer.kind == kind]


@dataclasses.dataclass(frozen=True)
class Installed:
    """A model that the store has."""

    name: Name
    path: Path
    manifest: Manifest
    modified: float


def _read_length(raw: bytes) -> int:
    """How much of a manifest Go's JSON decoder reads: its buffer's steps, until the object ends.

    So a line break after exactly 512, 1536, 3584, … bytes is no part of the digest.
    """
    end, buffer = len(raw.rstrip()), 512
    while buffer < end:
        buffer = 2 * buffer + 512
    return buffer


def parse_manifest(raw: bytes) -> Manifest:
    """Return the manifest in `raw`; ValueError if it is none."""
    data = json.loads(raw)
    if not isinstance(data, dict):
        raise ValueError("a manifest is a JSON object")
    try:
        layers = tuple(_layer(entry) for entry in data.get("layers") or ())
        return Manifest(raw, _layer(data.get("config") or {}), layers)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"malformed manifest: {error}") from None


def _layer(entry: dict[str, t.Any]) -> Layer:
    return Layer(
        entry.get("mediaType", ""),
        entry.get("digest", ""),
        int(entry.get("size", 0)),
        entry.get("from", ""),
    )


def render_manifest(config: Layer, layers: t.Iterable[Layer]) -> bytes:
    """Return the bytes of a manifest made here: one line and a newline."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return (gojson.dumps(document) + "\n").encode()


class Store:
    """Everything that touches the store's files."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.blobs = self.root / "blobs"
        self.manifests = self.root / "manifests"

    def prepare(self) -> None:
        """Make the two directories."""
        for directory in (self.blobs, self.manifests):
            directory.mkdir(parents=True, exist_ok=True, mode=0o755)

    def blob_path(self, digest: str) -> Path:
        """Return where a blob lies or would lie."""
        if not DIGEST.match(digest):
            raise ApiError("invalid digest format", 400)
        return self.blobs / digest.replace(":", "-")

    def blob_path_checked(self, digest: str) -> Path:
        """Like `blob_path`, with the status that a bad digest inside a stream has."""
        try:
            return self.blob_path(digest)
        except ApiError as error:
            raise ApiError(str(error)) from None

    def manifest_path(self, name: Name) -> Path:
        return self.manifests.joinpath(*name.parts)

    def names(self) -> list[Name]:
        """Return the names of all manifest files, valid names only."""
        found = (path.relative_to(self.manifests).parts for path in self.manifests.glob("*/*/*/*"))
        names = (Name(*parts) for parts in sorted(found))
        return [name for name in names if name.valid and self.manifest_path(name).is_file()]

    def existing(self, name: Name) -> Name:
        """Return the name spelled as the store already spells it."""
        return name.folded_onto(self.names())

    def find(self, name: Name) -> Installed | None:
        """Return the installed model of that name, or None."""
        path = self.manifest_path(name)
        try:
            raw, modified = path.read_bytes(), path.stat().st_mtime
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        try:
            return Installed(name, path, parse_manifest(raw), modified)
        except ValueError as error:
            raise ApiError(f"{path}: {error}") from None

    def installed(self) -> list[Installed]:
        """Return all models with a readable manifest, newest first."""
        found = []
        for name in self.names():
            with contextlib.suppress(ApiError):
                model = self.find(name)
                if model is not None:
                    found.append(model)
        return sorted(found, key=lambda model: int(model.modified), reverse=True)

    def write_manifest(self, name: Name, raw: bytes) -> None:
        """Put a manifest in its place; its mtime changes even if its bytes do not."""
        path = self.manifest_path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        path.write_bytes(raw)
        path.chmod(0o644)

    def add_blob(self, data: bytes, media_type: str, origin: str = "") -> tuple[Layer, bool]:
        """Store bytes as a blob; returns its layer and whether the blob is new."""
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        path = self.blob_path(digest)
        fresh = not path.exists()
        if fresh:
            with self.new_file() as (file, temporary):
                file.write(data)
                file.close()
                temporary.replace(path)
        else:
            os.utime(path)
        return Layer(media_type, digest, len(data), origin), fresh

    @contextlib.contextmanager
    def new_file(self) -> t.Iterator[tuple[t.BinaryIO, Path]]:
        """Give a temporary file inside `blobs/`; it is removed unless it was renamed away."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        path = self.blobs / f"sha256-{secrets.randbelow(10**10)}"
        try:
            with path.open("xb") as file:
                path.chmod(0o644)
                yield file, path
        finally:
            path.unlink(missing_ok=True)

    def referenced(self) -> set[str]:
        """Return the digests that any manifest names; ApiError if one cannot be read."""
        return {
            layer.digest
            for name in self.names()
            if (model := self.find(name)) is not None
            for layer in model.manifest.blobs
        }

    def remove_unused(self, layers: t.Iterable[Layer]) -> list[str]:
        """Delete those blobs that no manifest names any more; returns their digests."""
        try:
            used = self.referenced()
        except ApiError as error:
            log.warning("couldn't read manifests, keeping layers", error=str(error))
            return []
        removed = []
        for digest in {layer.digest for layer in layers} - used:
            path = self.blob_path(digest)
            if path.exists():
                path.unlink()
                removed.append(digest)
        return removed

    def remove_manifest(self, model: Installed) -> None:
        model.path.unlink()
        self.remove_empty_directories()

    def remove_empty_directories(self) -> None:
        for directory, _names, _files in os.walk(self.manifests, topdown=False):
            if Path(directory) != self.manifests:
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()

    def tidy(self, *, prune: bool) -> None:
        """Do what the server does at start-up: rename old blobs, drop orphans, empty folders."""
        self.prepare()
        for path in list(self.blobs.glob("sha256:*")):
            path.rename(path.with_name(path.name.replace(":", "-", 1)))
        if not prune:
            return
        try:
            used = {digest.replace(":", "-") for digest in self.referenced()}
        except ApiError as error:
            log.warning("couldn't read manifests, skipping prune", error=str(error))
            return
        newest = time.time() - PRUNE_GRACE_SECONDS
        orphans = [path for path in self.blobs.iterdir() if path.name not in used]
        stale = [path for path in orphans if path.is_file() and path.stat().st_mtime < newest]
        log.info(f"total blobs: {len(used) + len(orphans)}")
        for path in stale:
            path.unlink()
        log.info(f"total unused blobs removed: {len(stale)}")
        self.remove_empty_directories()

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A model's manifest: its blobs, and the digest that identifies it. Pure. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing as t

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Layer:
    digest: str
    size: int
    media_type: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a registry offers under a name; the last layer is the config."""

    digest: str
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """What the server will list as the model's size."""
        return sum(layer.size for layer in self.layers)

    @property
    def blobs(self) -> dict[str, int]:
        """Digest and size of every blob, each once, in the order of the manifest."""
        return {layer.digest: layer.size for layer in self.layers}


def digest_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def parse(raw: bytes) -> Manifest:
    """Read the raw bytes of a manifest; ValueError if they are anything else."""
    data = json.loads(raw)
    if not isinstance(data, dict) or data.get("schemaVersion") != 2:
        raise ValueError("not a manifest of schema version 2")
    layers = data.get("layers") or []
    if not isinstance(layers, list):
        raise ValueError(f"its layers are {layers!r}")
    entries: list[t.Any] = [*layers, data.get("config")]
    return Manifest(digest=digest_of(raw), layers=tuple(map(_layer, entries)))


def _layer(entry: t.Any) -> Layer:
    entry = entry if isinstance(entry, dict) else {}
    digest, size = entry.get("digest"), entry.get("size")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"a layer has the digest {digest!r}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"layer {digest} has the size {size!r}")
    return Layer(digest, size, str(entry.get("mediaType", "")))

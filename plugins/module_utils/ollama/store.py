# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama's store on disk: where a blob and a manifest lie. Private."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from .names import Name

BLOBS = "blobs"
MANIFESTS = "manifests"


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

    def manifest(self, name: Name) -> Path:
        """Where the manifest of a model lies, or would lie."""
        return self.manifests / name.host / name.namespace / name.model / name.tag

    def free_bytes(self) -> int:
        """What the file system of the store has left for everybody but its reserve."""
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize

    def partial_bytes(self, digest: str) -> int:
        """How much of a blob an interrupted pull has left, as its journals tell."""
        stem = f"{self.blob(digest).name}-partial-"
        return sum(_completed(path) for path in self.blobs.glob(f"{stem}*"))


def _completed(path: Path) -> int:
    try:
        part = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return 0
    done = part.get("Completed") if isinstance(part, dict) else None
    return done if isinstance(done, int) and done > 0 else 0

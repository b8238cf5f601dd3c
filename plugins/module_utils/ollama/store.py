# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama's store on disk: where a blob and a manifest lie. Private."""

from __future__ import annotations

import dataclasses
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

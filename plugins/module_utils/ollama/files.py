# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GGUF files on the host that a model is made of: looked at, and sent to the server. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils import gguf, gguf_split
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from .errors import OllamaError
from .progress import Progress

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .recipe import Weights

_CHUNK = 1 << 20
_MAGIC = b"GGUF"


def measure(weights: Weights, *, check_mode: bool) -> Weights:
    """The file with its hash and size; it is read only if nobody told its hash."""
    path = Path(weights.path)
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is not None and weights.size not in (None, size):
            raise Refused(f"{path} has {size} bytes, not the {weights.size} of gguf_size.")
        sha256 = weights.sha256
        if sha256 is None and size is not None:
            sha256 = hash_of(path)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    if sha256 is None and not (check_mode and weights.size is not None):
        raise _missing(weights)
    return dataclasses.replace(weights, sha256=sha256, size=weights.size if size is None else size)


def hash_of(path: Path) -> str:
    """The SHA-256 of a file."""
    checksum = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum.update(chunk)
    return checksum.hexdigest()


def check(weights: Weights, *, may_be_missing: bool) -> None:
    """Refuse what is no GGUF file before a gigabyte of it is sent.

    What is downloaded in the same run is not there yet when that is only predicted; then its size
    must be known.
    """
    gguf_split.refuse_for_ollama(weights.path)
    try:
        with Path(weights.path).open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError as error:
        if may_be_missing and weights.size is not None:
            return
        raise _missing(weights) from error
    except OSError as error:
        raise Refused(f"{weights.path} cannot be read: {error.strerror}.") from error
    if start != _MAGIC:
        raise Refused(
            f"{weights.path} is not a GGUF file: it begins with {start!r}. Was a web page or a "
            "pointer to a large file saved in its place?"
        )
    gguf_split.refuse_for_ollama(weights.path, _split_count(weights.path))


def _split_count(path: str) -> int:
    """Of how many files this is one, whatever its name says now."""
    try:
        return gguf.read(path).split_count
    except gguf.NotGGUF:
        # Whether it will do all the same is for the server to say.
        return 1


def _missing(weights: Weights) -> Refused:
    return Refused(
        f"The GGUF file {weights.path} does not exist on the host. "
        "edgellm.host.gguf_file downloads it; a path inside a container is not meant."
    )


def pieces(weights: Weights, progress: Progress, tell: Callable[[], None]) -> Iterator[bytes]:
    """The file, piece by piece, while somebody is told how much of it went."""
    done = 0
    try:
        with Path(weights.path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                progress.feed({"digest": weights.blob, "total": weights.size, "completed": done})
                tell()
                done += len(chunk)
                if done > (weights.size or 0):
                    break
                yield chunk
    except OSError as error:
        raise OllamaError(f"{weights.path} cannot be read: {error.strerror}.") from error
    if done != weights.size:
        raise OllamaError(f"{weights.path} changed while it was uploaded. Run it again.")
    progress.feed({"digest": weights.blob, "total": weights.size, "completed": done})

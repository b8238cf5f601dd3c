# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One model in several files: which they are, and what they say together. Pure. Private."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .errors import Refused
from .gguf import NotGGUF

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .gguf import Header

_SPLIT = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Part:
    """One file of a model; most models have one. The SHA-256 is what its source states."""

    name: str
    size: int
    header: Header
    sha256: str | None = None


def names(name: str) -> tuple[str, ...]:
    """The names of all the files of the model that this is a file of, in order."""
    match = _SPLIT.fullmatch(name)
    if not match:
        return (name,)
    number, count = int(match["number"]), int(match["count"])
    if not 0 < number <= count:
        raise Refused(f"{name} cannot be part {number} of {count}.")
    stem = match["stem"]
    return tuple(f"{stem}-{each:05}-of-{count:05}.gguf" for each in range(1, count + 1))


def refuse_for_ollama(name: str, count: int | None = None) -> None:
    """Refused if this is a file of a model in several, which are not imported here."""
    count = count or len(names(name))
    if count > 1:
        raise Refused(
            f"{name} is one of {count} files of a split model, and Ollama gets models in one file "
            "here. Join them once with a program of llama.cpp: llama-gguf-split --merge "
            "<first file> <new file>. Then give the new file."
        )


def refuse_stranger(part: Part, index: int, count: int) -> None:
    """NotGGUF if the file is not the one of them that its name says."""
    said = (part.header.split_number, part.header.split_count)
    if said == (index, count):
        return
    if count == 1:
        raise NotGGUF(
            f"{part.name} is part {said[0] + 1} of {said[1]} of a model, but its name does not "
            "end so that the others could be found. Give them all the names they had: "
            f"<name>-{said[0] + 1:05}-of-{said[1]:05}.gguf."
        )
    raise NotGGUF(
        f"{part.name} should be part {index + 1} of {count}, and says that it is part "
        f"{said[0] + 1} of {said[1]}. Download it again."
    )


def join(parts: Sequence[Part]) -> Header:
    """What the files say together: the words of the first, and the tensors of all."""
    first = parts[0].header
    tensors = tuple(tensor for part in parts for tensor in part.header.tensors)
    count = first.number("split.tensors.count")
    if len(parts) > 1 and count is not None and count != len(tensors):
        raise NotGGUF(
            f"{parts[0].name} says that the model has {count} tensors, but its {len(parts)} files "
            f"have {len(tensors)}. They are not of one model: download them again."
        )
    return dataclasses.replace(first, tensors=tensors)

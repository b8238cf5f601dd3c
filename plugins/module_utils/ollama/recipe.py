# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a model is made of: the weights and the text of a Modelfile, checked. Pure. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import posixpath
import re
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import modelfile
from .errors import InvalidModelfile
from .names import Name, is_reserved

if t.TYPE_CHECKING:
    from collections.abc import Mapping

# Stands for the digest while the request is put together: it may not be known yet.
_LATER = "later"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Weights:
    """A GGUF file on the host, as far as it is known."""

    path: str
    sha256: str | None = None
    size: int | None = None

    @property
    def file(self) -> str:
        return posixpath.basename(self.path)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A model to create. The fields are those of /api/create but for its name and files."""

    name: Name
    weights: Weights
    fields: Mapping[str, t.Any]
    warnings: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """Equal for equal models, wherever the file lies and however the Modelfile is spelled."""
        said = {"gguf": self.weights.sha256, **self.fields}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def blob(self) -> str | None:
        return f"sha256:{self.weights.sha256}" if self.weights.sha256 else None

    def body(self) -> dict[str, t.Any]:
        """The request that creates the model."""
        return {**self.fields, "model": self.name.short, "files": {self.weights.file: self.blob}}


def make(name: Name, weights: Weights, text: str | None) -> Recipe:
    """The recipe that the Modelfile is; Refused, with the remedy, before anything is sent."""
    if is_reserved(name):
        raise Refused(
            f"{name.short} cannot be created: Ollama takes the tags 'cloud' and 'local', and "
            "tags that end in '-cloud', for a switch between local and remote models."
        )
    if text is None:
        text = f"FROM {weights.path}\n"
    try:
        read = read_modelfile(text, weights.path)
        fields = modelfile.request(read, digests={read.bases[0].args: _LATER})
    except InvalidModelfile as error:
        raise Refused(f"The Modelfile of {name.short}{at(error)}: {error.complaint}.") from error
    if fields is None:
        raise Refused(f"The Modelfile of {name.short} has a parameter that is no finite number.")
    warnings = tuple(
        f"The Modelfile of {name.short}, line {command.line}: the parameter {command.name} is "
        "deprecated, so it is left out."
        for command in read.deprecated
    )
    fields = {key: value for key, value in fields.items() if key != "files"}
    return Recipe(name, weights, fields, warnings)


def at(error: InvalidModelfile) -> str:
    return f", line {error.line}" if error.line else ""


def read_modelfile(text: str, path: str, *, folder: str | None = None) -> modelfile.Modelfile:
    """The Modelfile of a GGUF file, with every mistake that can be known without the file.

    FROM names the file as somebody else sees it, so only its last parts count: the name of the
    file, and that of its folder if one is given.
    """
    right = f"write 'FROM {path}'"
    try:
        read = modelfile.parse(modelfile.with_unix_lines(text))
    except InvalidModelfile as error:
        if error.line is None:
            raise InvalidModelfile(f"it has no FROM line; {right}") from error
        raise
    base, *others = read.bases
    if others:
        raise InvalidModelfile(
            f"there is one FROM line already (line {base.line}); remove this one, "
            f"and in line {base.line} {right}",
            line=others[0].line,
        )
    above, file = posixpath.split(base.args)
    said_folder = posixpath.basename(posixpath.normpath(above)) if above else "."
    wrong_folder = folder is not None and said_folder not in (".", folder)
    if file != posixpath.basename(path) or wrong_folder:
        what = "folder" if file == posixpath.basename(path) else "file"
        raise InvalidModelfile(f"FROM {base.args} names another {what}; {right}", line=base.line)
    for command in read.commands:
        if command.name in ("adapter", "draft"):
            raise InvalidModelfile(
                f"{command.name.upper()} names a second file, but only the GGUF file of FROM is "
                "imported; take the line out",
                line=command.line,
            )
    # What is wrong with the values, too.
    modelfile.request(read, digests={base.args: _LATER})
    return read


def parse_sha256(text: str | None) -> str | None:
    if text is None:
        return None
    digest = text.lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(digest):
        raise Refused(f"Invalid gguf_sha256 {text!r}: it must be 64 hexadecimal digits.")
    return digest

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a model is made of: weights or a base, and a Modelfile, checked. Pure. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import posixpath
import re
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import fields, modelfile, names
from .errors import InvalidModelfile, InvalidName
from .names import Name, is_reserved

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Stands for the digest while the request is put together: it may not be known yet.
_LATER = "later"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILES = ("files", "adapters", "from")


@dataclasses.dataclass(frozen=True)
class Weights:
    """A GGUF file on the host, as far as it is known."""

    path: str
    sha256: str | None = None
    size: int | None = None

    @property
    def file(self) -> str:
        return posixpath.basename(self.path)

    @property
    def blob(self) -> str | None:
        return f"sha256:{self.sha256}" if self.sha256 else None


@dataclasses.dataclass(frozen=True)
class Base:
    """A model that another one is made from; its digest is known once it is installed."""

    name: Name
    digest: str | None = None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A model to create. The fields are those of /api/create but for its name and files."""

    name: Name
    source: Weights | Base
    fields: Mapping[str, t.Any]
    adapters: tuple[Weights, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def weights(self) -> Weights | None:
        return self.source if isinstance(self.source, Weights) else None

    @property
    def base(self) -> Base | None:
        return self.source if isinstance(self.source, Base) else None

    @property
    def files(self) -> tuple[Weights, ...]:
        """Everything that the server must have as a blob before it can create the model."""
        return (*((self.source,) if isinstance(self.source, Weights) else ()), *self.adapters)

    @property
    def spec(self) -> str:
        """Equal for equal models, wherever the file lies and however the Modelfile is spelled."""
        said: dict[str, t.Any] = dict(self.fields)
        if isinstance(self.source, Weights):
            said["gguf"] = self.source.sha256
        else:
            said["from"] = [self.source.name.key, self.source.digest]
        if self.adapters:
            said["adapters"] = [adapter.sha256 for adapter in self.adapters]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def body(self, name: Name | None = None) -> dict[str, t.Any]:
        """The request that creates the model, under its own name or another one."""
        body = {**self.fields, "model": (name or self.name).short}
        if isinstance(self.source, Weights):
            body["files"] = {self.source.file: self.source.blob}
        else:
            body["from"] = self.source.name.short
        if self.adapters:
            body["adapters"] = {adapter.file: adapter.blob for adapter in self.adapters}
        return body


def make(
    name: Name,
    source: Weights | Base,
    text: str | None,
    given: Mapping[str, t.Any] | None = None,
    adapters: Sequence[Weights] = (),
) -> Recipe:
    """The recipe that the Modelfile and the fields beside it are.

    Refused, with the remedy, before anything is sent. A field that is given replaces what the
    Modelfile says; parameters do so one by one.
    """
    if is_reserved(name):
        raise Refused(
            f"{name.short} cannot be created: Ollama takes the tags 'cloud' and 'local', and "
            "tags that end in '-cloud', for a switch between local and remote models."
        )
    if isinstance(source, Base) and source.name.key == name.key:
        raise Refused(
            f"{name.short} cannot be made from itself: every run would make another model of it. "
            "Give the new model another name than its base."
        )
    checked = fields.check(given or {})
    if "quantize" in checked.values and isinstance(source, Base):
        raise Refused("quantize is for a model from gguf; a base is taken as it is.")
    said, deprecated = _of_modelfile(name, source, text, adapters)
    merged = {**said, **checked.values}
    if "parameters" in said and "parameters" in checked.values:
        merged["parameters"] = {**said["parameters"], **checked.values["parameters"]}
    return Recipe(name, source, merged, tuple(adapters), (*deprecated, *checked.warnings))


def _of_modelfile(
    name: Name, source: Weights | Base, text: str | None, adapters: Sequence[Weights]
) -> tuple[dict[str, t.Any], tuple[str, ...]]:
    if text is None:
        return {}, ()
    try:
        if isinstance(source, Weights):
            read = read_modelfile(text, source.path, adapters=adapters)
        else:
            read = read_modelfile_of_base(text, source.name, adapters=adapters)
        said = modelfile.request(read, digests=_digests(read))
    except InvalidModelfile as error:
        raise Refused(f"The Modelfile of {name.short}{at(error)}: {error.complaint}.") from error
    if said is None:
        raise Refused(f"The Modelfile of {name.short} has a parameter that is no finite number.")
    warnings = tuple(
        f"The Modelfile of {name.short}, line {command.line}: the parameter {command.name} is "
        "deprecated, so it is left out."
        for command in read.deprecated
    )
    return {key: value for key, value in said.items() if key not in _FILES}, warnings


def at(error: InvalidModelfile) -> str:
    return f", line {error.line}" if error.line else ""


def read_modelfile(
    text: str, path: str, *, folder: str | None = None, adapters: Sequence[Weights] = ()
) -> modelfile.Modelfile:
    """The Modelfile of a GGUF file, with every mistake that can be known without the file.

    FROM names the file as somebody else sees it, so only its last parts count: the name of the
    file, and that of its folder if one is given.
    """
    right = f"write 'FROM {path}'"
    read, base = _with_one_base(text, right)
    above, file = posixpath.split(base.args)
    said_folder = posixpath.basename(posixpath.normpath(above)) if above else "."
    wrong_folder = folder is not None and said_folder not in (".", folder)
    if file != posixpath.basename(path) or wrong_folder:
        what = "folder" if file == posixpath.basename(path) else "file"
        raise InvalidModelfile(f"FROM {base.args} names another {what}; {right}", line=base.line)
    _check_rest(read, adapters)
    return read


def read_modelfile_of_base(
    text: str, base: Name, *, adapters: Sequence[Weights] = ()
) -> modelfile.Modelfile:
    """The Modelfile of a model made from another, with every mistake that can be known."""
    right = f"write 'FROM {base.short}'"
    read, line = _with_one_base(text, right)
    try:
        said = names.parse(line.args)
    except InvalidName as error:
        raise InvalidModelfile(
            f"FROM {line.args} is not the name of a model; {right}", line=line.line
        ) from error
    if said.key != base.key:
        raise InvalidModelfile(f"FROM {line.args} names another model; {right}", line=line.line)
    _check_rest(read, adapters)
    return read


def base_of(text: str) -> Name:
    """The model that a Modelfile is based on; Refused if it is based on a file."""
    try:
        _read, line = _with_one_base(text, "name a model there")
    except InvalidModelfile as error:
        raise Refused(f"The modelfile{at(error)}: {error.complaint}.") from error
    if line.args.startswith((".", "/", "~")) or line.args.lower().endswith(".gguf"):
        raise Refused(
            f"The modelfile, line {line.line}: FROM {line.args} is a file. Give its path on the "
            "host in gguf, or name a model after FROM."
        )
    return names.parse(line.args)


def _with_one_base(text: str, right: str) -> tuple[modelfile.Modelfile, modelfile.Command]:
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
    return read, base


def _check_rest(read: modelfile.Modelfile, adapters: Sequence[Weights]) -> None:
    known = {adapter.file: adapter.path for adapter in adapters}
    for command in read.commands:
        if command.name == "draft":
            raise InvalidModelfile(
                "DRAFT names a second file, which is not imported; take the line out",
                line=command.line,
            )
        if command.name == "adapter" and posixpath.basename(command.args) not in known:
            raise InvalidModelfile(
                "ADAPTER names a second file, which is not one of the option adapters; give its "
                "path on the host there, or take the line out",
                line=command.line,
            )
    # What is wrong with the values, too.
    modelfile.request(read, digests=_digests(read))


def _digests(read: modelfile.Modelfile) -> dict[str, str]:
    """Has every file that is named be one that exists; a base is not asked for as a file."""
    return {
        command.args: _LATER for command in read.commands if command.name in ("model", "adapter")
    }


def parse_sha256(text: str | None) -> str | None:
    if text is None:
        return None
    digest = text.lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(digest):
        raise Refused(f"Invalid gguf_sha256 {text!r}: it must be 64 hexadecimal digits.")
    return digest

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue: one folder per model, each with a model.yml that is checked here. Private.

A model from a GGUF file has its Modelfile beside that, checked here too.

Runs on the controller only, because a managed host need not have PyYAML.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import typing as t
from pathlib import Path, PurePosixPath

import yaml
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import (
    modelfile,
    names,
    recipe,
)
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import InvalidModelfile

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SPEC_FILE = "model.yml"
PROBE_KINDS = ("auto", "chat", "embed")


@dataclasses.dataclass(frozen=True)
class Text:
    """A key that holds text; C(check) raises Refused for text that will not do."""

    required: bool = False
    choices: tuple[str, ...] = ()
    check: Callable[[str], object] | None = None


@dataclasses.dataclass(frozen=True)
class Number:
    """A key that holds a positive whole number."""

    required: bool = False


@dataclasses.dataclass(frozen=True)
class Section:
    """A key that holds further keys. C(one_of): exactly one of these must be there."""

    keys: Mapping[str, Text | Number | Section]
    required: bool = False
    one_of: tuple[str, ...] = ()


def _check_repo(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", text, re.ASCII):
        raise Refused(f"a repository is written owner/name, not {text!r}.")


def _check_file(text: str) -> None:
    parts = text.split("/")
    if not text.endswith(".gguf") or any(part in ("", ".", "..") for part in parts):
        raise Refused(f"the path of a .gguf file in its repository is needed, not {text!r}.")


def _check_sha256(text: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise Refused(f"a SHA-256 has 64 digits of 0-9 and a-f, not {text!r}.")


def _check_url(text: str) -> None:
    if not re.fullmatch(r"https?://[^/\s]+/\S+", text):
        raise Refused(f"an address begins with https:// or http:// and a host, not {text!r}.")


def _check_beside(text: str) -> None:
    if "/" in text or text in (".", ".."):
        raise Refused(f"the name of a file in this folder is needed, not {text!r}.")


SCHEMA = Section(
    {
        "name": Text(check=names.parse),
        "description": Text(),
        "source": Section(
            {
                "registry": Text(check=names.parse),
                "gguf": Section(
                    {
                        "repo": Text(check=_check_repo),
                        "file": Text(required=True, check=_check_file),
                        "revision": Text(),
                        "sha256": Text(check=_check_sha256),
                        "size": Number(),
                        "url": Text(check=_check_url),
                    },
                    one_of=("repo", "url"),
                ),
            },
            required=True,
            one_of=("registry", "gguf"),
        ),
        "modelfile": Text(check=_check_beside),
        "probe": Section({"kind": Text(choices=PROBE_KINDS), "prompt": Text(), "system": Text()}),
    }
)


@dataclasses.dataclass(frozen=True)
class Probe:
    """The request that proves a model; without a prompt the probe has one of its own."""

    kind: str = "auto"
    prompt: str | None = None
    system: str | None = None


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a model is. Without a folder it was asked for by its registry name alone."""

    name: str
    source: Mapping[str, t.Any]
    folder: str | None = None
    description: str = ""
    modelfile: str | None = None
    probe: Probe = dataclasses.field(default_factory=Probe)

    @property
    def key(self) -> str:
        return names.parse(self.name).key

    def to_result(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "source": dict(self.source)}


def from_registry(name: str) -> dict[str, t.Any]:
    """The source of a model of a registry. A source always has both keys."""
    return {"registry": name, "gguf": None}


def from_gguf(said: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The source of a model in a GGUF file, with a value for every key."""
    gguf = {key: said.get(key) for key in ("repo", "file", "revision", "sha256", "size", "url")}
    return {"registry": None, "gguf": gguf}


def load(directories: Iterable[Path]) -> dict[str, Spec]:
    """Folder and spec of every model; a folder in an earlier directory hides the later ones."""
    found: dict[str, Spec] = {}
    for directory in directories:
        mine = {path.parent.name: _read(path) for path in sorted(directory.glob(f"*/{SPEC_FILE}"))}
        _refuse_twins(directory, mine)
        found.update({folder: spec for folder, spec in mine.items() if folder not in found})
    return found


def select(
    entries: Sequence[str], catalogue: Mapping[str, Spec], directories: Iterable[Path] = ()
) -> list[Spec]:
    """The spec of each entry, a folder or a registry name; the same model is told once."""
    by_name: dict[str, Spec] = {}
    for spec in catalogue.values():
        by_name.setdefault(spec.key, spec)
    chosen: dict[str, Spec] = {}
    for entry in entries:
        spec = catalogue.get(entry) or _by_registry_name(entry, by_name, directories)
        known = chosen.setdefault(spec.key, spec)
        if known.folder != spec.folder:
            raise Refused(
                f"The folders {known.folder!r} and {spec.folder!r} are two different models with "
                f"the one name {spec.name!r}. Take one of them out of the list."
            )
    return list(chosen.values())


def _by_registry_name(entry: str, by_name: Mapping[str, Spec], directories: Iterable[Path]) -> Spec:
    if "/" not in entry:
        for directory in directories:
            if (directory / entry).is_dir():
                raise Refused(
                    f"{directory / entry} is a folder of the catalogue without {SPEC_FILE}. Write "
                    "one (another model's shows how), or remove the folder."
                )
    name = names.parse(entry)
    return by_name.get(name.key) or Spec(name=entry, source=from_registry(entry))


def _refuse_twins(directory: Path, specs: Mapping[str, Spec]) -> None:
    seen: dict[str, str] = {}
    for folder, spec in specs.items():
        if spec.key in seen:
            raise Refused(
                f"{directory}: the folders {seen[spec.key]!r} and {folder!r} both have the name "
                f"{spec.name!r}. Give one of them another name, or remove it."
            )
        seen[spec.key] = folder


def _read(path: Path) -> Spec:
    status = path.stat()
    spec, beside = _read_once(path, status.st_mtime_ns, status.st_size)
    return _with_modelfile(spec, path.parent / beside, path) if beside else spec


@functools.lru_cache(maxsize=1024)
def _read_once(path: Path, _mtime: int, _size: int) -> tuple[Spec, str | None]:
    """Templates ask for the catalogue again and again; a file is read again when it changed."""
    return parse(_text(path), path)


def _text(path: Path) -> str:
    try:
        return modelfile.decode(path.read_bytes())
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: not UTF-8 (byte {error.start}). Save the file as UTF-8.") from error


def _with_modelfile(spec: Spec, path: Path, said_in: Path) -> Spec:
    try:
        # An editor on Windows must not make another model of it.
        text = modelfile.with_unix_lines(_text(path))
    except OSError as error:
        raise Refused(f"{said_in}: {path} cannot be read: {error.strerror}.") from error
    gguf, folder = spec.source["gguf"], str(spec.folder)
    right = f"/models/{folder}/{PurePosixPath(gguf['file']).name}"
    try:
        recipe.read_modelfile(text, right, folder=folder)
    except InvalidModelfile as error:
        line = f":{error.line}" if error.line else ""
        raise Refused(f"{path}{line}: {error.complaint}.") from error
    return dataclasses.replace(spec, modelfile=text)


def parse(text: str, path: Path) -> tuple[Spec, str | None]:
    """The spec in the text of a model.yml, and its Modelfile's name; Refused names the line."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise Refused(
            f"{path}:{line}: not valid YAML: {error.problem or error.context}."
        ) from error
    except yaml.YAMLError as error:
        raise Refused(f"{path}: not valid YAML: {error}") from error
    if node is None:
        raise Refused(f"{path}:1: the file is empty; at least 'source' must be there.")
    reader = _Reader(path)
    said = reader.section(node, SCHEMA, "")
    if "modelfile" in said and "gguf" not in said["source"]:
        raise reader.refuse(
            _key_node(node, "modelfile"), "'modelfile' is only for models with 'source.gguf'"
        )
    return _to_spec(said, path.parent.name, path), said.get("modelfile")


def _key_node(node: yaml.Node, key: str) -> yaml.Node:
    return next((found for found, _value in node.value if found.value == key), node)


def _to_spec(said: Mapping[str, t.Any], folder: str, path: Path) -> Spec:
    name, source = said.get("name", folder), said["source"]
    try:
        names.parse(name)
    except Refused as error:
        raise Refused(
            f"{path}: without 'name' the folder's name is the model's. {error}"
        ) from error
    return Spec(
        name=name,
        source=from_gguf(source["gguf"]) if "gguf" in source else from_registry(source["registry"]),
        folder=folder,
        description=said.get("description", ""),
        probe=Probe(**said.get("probe", {})),
    )


class _Reader:
    """Turns YAML nodes into plain values, and complains with file and line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def section(self, node: yaml.Node, shape: Section, above: str) -> dict[str, t.Any]:
        if not isinstance(node, yaml.MappingNode):
            raise self.refuse(node, f"{_named(above)} must hold keys, not {_kind(node)}")
        found: dict[str, t.Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key not in shape.keys:
                raise self.refuse(key_node, _unknown(key, above, shape))
            if key in found:
                raise self.refuse(key_node, f"{_named(above, key)} is there twice")
            found[key] = self._value(value_node, shape.keys[key], _join(above, key))
        missing = [k for k, s in shape.keys.items() if s.required and k not in found]
        if missing:
            raise self.refuse(node, f"{_named(above, missing[0])} is missing")
        given = [key for key in shape.one_of if key in found]
        if shape.one_of and len(given) != 1:
            wanted = " or ".join(repr(key) for key in shape.one_of)
            raise self.refuse(node, f"{_named(above)} needs {wanted}, exactly one")
        return found

    def _value(self, node: yaml.Node, shape: Text | Number | Section, key: str) -> object:
        if isinstance(shape, Section):
            return self.section(node, shape, key)
        if isinstance(shape, Number):
            return self._number(node, key)
        return self._text(node, shape, key)

    def _number(self, node: yaml.Node, key: str) -> int:
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if node.tag != "tag:yaml.org,2002:int" or not re.fullmatch("[1-9][0-9]*", text):
            raise self.refuse(node, f"{_named(key)} must be a whole number above 0, in digits")
        return int(text)

    def _text(self, node: yaml.Node, shape: Text, key: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
            raise self.refuse(node, f"{_named(key)} must be text, not {_kind(node)}")
        text = str(node.value)
        if not text.strip():
            raise self.refuse(node, f"{_named(key)} is empty; leave the key out instead")
        if shape.choices and text not in shape.choices:
            raise self.refuse(
                node, f"{_named(key)} must be one of {', '.join(shape.choices)}, not {text!r}"
            )
        if shape.check:
            try:
                shape.check(text)
            except Refused as error:
                raise self.refuse(node, str(error).removesuffix(".")) from error
        return text

    def refuse(self, node: yaml.Node, complaint: str) -> Refused:
        return Refused(f"{self._path}:{node.start_mark.line + 1}: {complaint}.")


def _join(above: str, key: str) -> str:
    return f"{above}.{key}" if above else key


def _named(above: str, key: str = "") -> str:
    name = _join(above, key) if key else above
    return repr(name) if name else "the file"


def _unknown(key: str | None, above: str, shape: Section) -> str:
    known = ", ".join(shape.keys)
    if key is None:
        return f"a key of {_named(above)} must be text; known keys are {known}"
    close = difflib.get_close_matches(key, shape.keys, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known keys are {known}"
    return f"unknown key {_join(above, key)!r} ({hint})"


_KINDS: dict[str, str] = {
    "tag:yaml.org,2002:str": "text",
    "tag:yaml.org,2002:int": "a number (put it in quotes)",
    "tag:yaml.org,2002:float": "a number (put it in quotes)",
    "tag:yaml.org,2002:bool": "yes or no (put it in quotes)",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:map": "keys",
    "tag:yaml.org,2002:seq": "a list",
    "tag:yaml.org,2002:timestamp": "a date (put it in quotes)",
}


def _kind(node: yaml.Node) -> str:
    return _KINDS.get(node.tag, f"a value with the tag {node.tag}")

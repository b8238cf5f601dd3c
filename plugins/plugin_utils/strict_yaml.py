# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A YAML file in which every key is known and every value is of its type. Private.

Complaints name file and line, which is why nodes are read here and not values.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing as t

import yaml
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


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
class Plain:
    """A key that holds whatever C(check) lets pass: it raises Refused for what will not do."""

    check: Callable[[t.Any], object]
    required: bool = False


@dataclasses.dataclass(frozen=True)
class Section:
    """A key that holds further keys. C(one_of): exactly one of these must be there."""

    keys: Mapping[str, Shape]
    required: bool = False
    one_of: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Entries:
    """A key that holds entries of one shape under names of their own, which C(check) checks."""

    each: Shape
    check: Callable[[str], object]
    required: bool = False


Shape = Text | Number | Plain | Section | Entries


@dataclasses.dataclass(frozen=True)
class Document:
    """A file that was read: what it says, and where."""

    said: dict[str, t.Any]
    _reader: _Reader
    _root: yaml.Node

    def line(self, *keys: str) -> int:
        """The line in which the innermost of these keys stands."""
        return _line(self._find(keys))

    def refuse(self, complaint: str, *keys: str) -> Refused:
        """The complaint about the innermost of these keys."""
        return self._reader.refuse(self._find(keys), complaint)

    def _find(self, keys: tuple[str, ...]) -> yaml.Node:
        node = inside = self._root
        for key in keys:
            node, inside = next(pair for pair in inside.value if pair[0].value == key)
        return node


def read(text: str, path: Path, shape: Section) -> Document:
    """The text of a file, checked; Refused names the line."""
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
        least = " and ".join(repr(key) for key, inner in shape.keys.items() if inner.required)
        raise Refused(f"{path}:1: the file is empty; at least {least} must be there.")
    reader = _Reader(path)
    return Document(reader.section(node, shape, ""), reader, node)


class _Reader:
    """Turns YAML nodes into plain values, and complains with file and line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def section(self, node: yaml.Node, shape: Section, above: str) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {}
        for key, key_node, value_node in self._pairs(node, above):
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
            *first, last = map(repr, shape.one_of)
            wanted = f"{', '.join(first)} or {last}"
            raise self.refuse(node, f"{_named(above)} needs {wanted}, exactly one")
        return found

    def _entries(self, node: yaml.Node, shape: Entries, above: str) -> dict[str, t.Any]:
        found: dict[str, t.Any] = {}
        for key, key_node, value_node in self._pairs(node, above):
            if key is None or key_node.tag != "tag:yaml.org,2002:str":
                raise self.refuse(
                    key_node, f"a key of {_named(above)} must be text, not {_kind(key_node)}"
                )
            if key in found:
                raise self.refuse(key_node, f"{key!r} is there twice")
            self._check(key_node, shape.check, key)
            found[key] = self._value(value_node, shape.each, _join(above, key))
        if not found:
            raise self.refuse(node, f"{_named(above)} is empty")
        return found

    def _pairs(self, node: yaml.Node, above: str) -> list[tuple[str | None, yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.refuse(node, f"{_named(above)} must hold keys, not {_kind(node)}")
        return [
            (str(key.value) if isinstance(key, yaml.ScalarNode) else None, key, value)
            for key, value in node.value
        ]

    def _value(self, node: yaml.Node, shape: Shape, key: str) -> object:
        if isinstance(shape, Section):
            return self.section(node, shape, key)
        if isinstance(shape, Entries):
            return self._entries(node, shape, key)
        if isinstance(shape, Plain):
            return self._plain(node, shape, key)
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
            self._check(node, shape.check, text)
        return text

    def _plain(self, node: yaml.Node, shape: Plain, key: str) -> object:
        for inner in _nodes(node):
            if inner.tag not in _JSON:
                raise self.refuse(inner, f"{_named(key)} cannot hold {_kind(inner)}")
        value = yaml.constructor.SafeConstructor().construct_document(node)
        self._check(node, shape.check, value)
        return value

    def _check(self, node: yaml.Node, check: Callable[[t.Any], object], value: t.Any) -> None:
        try:
            check(value)
        except Refused as error:
            raise self.refuse(node, str(error).removesuffix(".")) from error

    def refuse(self, node: yaml.Node, complaint: str) -> Refused:
        return Refused(f"{self._path}:{_line(node)}: {complaint}.")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _nodes(node: yaml.Node) -> list[yaml.Node]:
    """The node and every node inside it."""
    inner = [] if isinstance(node, yaml.ScalarNode) else node.value
    pairs = [each for pair in inner for each in (pair if isinstance(pair, tuple) else (pair,))]
    return [node, *(found for each in pairs for found in _nodes(each))]


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
# What JSON can say too.
_JSON = frozenset(_KINDS) - {"tag:yaml.org,2002:timestamp"}


def _kind(node: yaml.Node) -> str:
    return _KINDS.get(node.tag, f"a value with the tag {node.tag}")

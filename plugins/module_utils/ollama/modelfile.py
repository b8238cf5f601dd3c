# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modelfiles: the exact grammar, and what a Modelfile asks the server for. Private.

Where this reads a text as Ollama does, complaints are in Ollama's words too. Ollama counts a CRLF
as two lines and complains about a line end one line late, so the true line is told beside it.
"""

from __future__ import annotations

import codecs
import dataclasses
import math
import posixpath
import re
import typing as t

from . import parameters
from .errors import InvalidModelfile, InvalidParameter
from .printable import keep_printable

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

JsonObject = dict[str, t.Any]

INSTRUCTIONS = (
    "from",
    "license",
    "template",
    "system",
    "adapter",
    "draft",
    "renderer",
    "parser",
    "parameter",
    "message",
    "requires",
)
ROLES = ("system", "user", "assistant")
_UNKNOWN_INSTRUCTION = (
    "command must be one of "
    + ", ".join(f'"{name}"' for name in INSTRUCTIONS[:-1])
    + f', or "{INSTRUCTIONS[-1]}"'
)
_UNKNOWN_ROLE = 'message role must be one of "system", "user", or "assistant"'
_NOTHING_THERE = "no Modelfile or safetensors files found"
# What stands for the folder of the Modelfile where nobody knows it.
DIRECTORY = "{dir}"
_BLANKS = " \t\r\n"
_LINE_END = re.compile(r"[\r\n]")
_LETTERS = re.compile(r"[A-Za-z]*")
_NAME = re.compile(r"[A-Za-z0-9_]*")
_TO_COMMAND = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRERELEASE = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"v{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}"
    rf"(?:-{_PRERELEASE}(?:\.{_PRERELEASE})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)?)?"
)


@dataclasses.dataclass(frozen=True)
class Command:
    """An instruction. FROM is called model, a PARAMETER by its own name, as Ollama does."""

    name: str
    args: str
    line: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(frozen=True)
class Modelfile:
    commands: tuple[Command, ...]

    @property
    def bases(self) -> list[Command]:
        """What FROM lines name."""
        return [command for command in self.commands if command.name == "model"]

    @property
    def deprecated(self) -> list[Command]:
        """Parameters that will be left out."""
        return [command for command in self.commands if command.name in parameters.DEPRECATED]


def decode(content: bytes) -> str:
    """The text of a file; a byte order mark says which encoding it has, else it is UTF-8."""
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        if content.startswith(mark):
            return content.decode("utf-16")
    return content.decode("utf-8-sig")


def with_unix_lines(text: str) -> str:
    """The text as it was before an editor on Windows saved it."""
    return text.replace("\r\n", "\n")


def parse(text: str) -> Modelfile:
    """The instructions in the text, or InvalidModelfile."""
    modelfile = Modelfile(tuple(_commands(text.removeprefix("\ufeff"))))
    if not modelfile.bases:
        raise InvalidModelfile("no FROM line")
    return modelfile


def _commands(text: str) -> Iterator[Command]:
    position = _skip(text, 0)
    while position < len(text):
        line = _line(text, position)
        name, position = _instruction(text, position)
        before = ""
        if name == "parameter":
            name, position = _argument(text, position, _NAME)
        elif name == "message":
            role, position = _argument(text, position, _LETTERS)
            if role not in ROLES:
                raise _complaint(text, position - 1, _UNKNOWN_ROLE)
            before = f"{role}: "
        value, position = _value(text, position, line)
        yield Command("model" if name == "from" else name, before + value, line)
        position = _skip(text, position)


def _skip(text: str, position: int) -> int:
    """Past blanks and comments, to where an instruction may start."""
    match = _TO_COMMAND.match(text, position)
    return match.end() if match else position


def _instruction(text: str, position: int) -> tuple[str, int]:
    # Any character may begin the name; one that cannot be printed is no part of it.
    first = keep_printable(text[position])
    rest = _LETTERS.match(text, position + 1)
    end = rest.end() if rest else position + 1
    if end == len(text):
        raise InvalidModelfile("unexpected EOF", line=_line(text, position))
    name = (first + text[position + 1 : end]).lower()
    if text[end] not in " \t" or name not in INSTRUCTIONS:
        raise _complaint(text, end, _UNKNOWN_INSTRUCTION)
    return name, end + 1


def _argument(text: str, position: int, shape: re.Pattern[str]) -> tuple[str, int]:
    """A parameter's name or a message's role; exactly one blank is before and after it."""
    match = shape.match(text, position)
    end = match.end() if match else position
    word = text[position:end]
    if end == len(text):
        raise InvalidModelfile("unexpected EOF", line=_line(text, position))
    if text[end] not in " \t":
        raise InvalidModelfile(f"unexpected EOF: {word}", line=_line(text, position))
    return word, end + 1


def _value(text: str, position: int, line: int) -> tuple[str, int]:
    """The rest of the line, or what is in quotes, over as many lines as that takes."""
    pieces: list[str] = []
    while True:
        match = _LINE_END.search(text, position)
        end = match.start() if match else len(text)
        pieces.append(keep_printable(text[position:end]))
        # Only a quote at the end of a line can close what a quote has opened.
        if len(pieces) == 1 or match is None or pieces[-1].rstrip(_BLANKS).endswith('"'):
            value = _unquote("".join(pieces).strip(_BLANKS))
            if value is not None:
                return value, end
        if match is None:
            raise InvalidModelfile("unexpected EOF", line=line)
        pieces.append(match.group())
        position = match.end()


def _unquote(text: str) -> str | None:
    """The text inside its quotes, or None if they are not closed yet."""
    for quote in ('"""', '"'):
        if text.startswith(quote):
            closed = len(text) >= 2 * len(quote) and text.endswith(quote)
            return text[len(quote) : -len(quote)] if closed else None
    return text


def _complaint(text: str, position: int, reason: str) -> InvalidModelfile:
    counted = len(_LINE_END.findall(text[: position + 1])) + 1
    return InvalidModelfile(f"(line {counted}): {reason}", line=_line(text, position))


def _line(text: str, position: int) -> int:
    before = text[:position]
    return before.count("\n") + before.count("\r") - before.count("\r\n") + 1


# --- what a Modelfile asks for -------------------------------------------------------------------


def request(
    modelfile: Modelfile, *, directory: str = DIRECTORY, digests: Mapping[str, str] | None = None
) -> JsonObject | None:
    """The fields of /api/create, or None if they cannot be written as JSON (an infinite number).

    Digests tells which files there are, by the path as the Modelfile writes it; FROM something
    else is the name of a model. The directory is that of the Modelfile.
    """
    asked = _Request(directory, digests or {})
    for command in modelfile.commands:
        try:
            asked.take(command)
        except (InvalidModelfile, InvalidParameter) as error:
            line = command.line or None
            raise InvalidModelfile(str(error), line=line, hint=error.hint) from error
    values = asked.parameters.values()
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        return None
    return asked.fields()


class _Request:
    """Fields that fill up, command by command."""

    def __init__(self, directory: str, digests: Mapping[str, str]) -> None:
        self._directory = directory
        self._digests = digests
        self._said: JsonObject = {}
        self.parameters: dict[str, parameters.Value] = {}

    def fields(self) -> JsonObject:
        said = {**self._said, "parameters": self.parameters}
        return {name: value for name, value in said.items() if value}

    def take(self, command: Command) -> None:
        name, args = command.name, command.args
        if name == "model":
            self._base(args)
        elif name in ("adapter", "draft"):
            digest = self._digest(args)
            if digest is None:
                path = self._path(args)
                raise InvalidModelfile(f"stat {path}: no such file or directory")
            key = "adapters" if name == "adapter" else "draft_files"
            self._said[key] = {posixpath.basename(args): digest}
        elif name in ("template", "system", "renderer", "parser"):
            self._said[name] = args
        elif name == "license":
            self._said.setdefault("license", []).append(args)
        elif name == "message":
            role, _colon, content = args.partition(": ")
            self._said.setdefault("messages", []).append({"role": role, "content": content})
        elif name == "requires":
            self._said["requires"] = version(args)
        elif name not in parameters.DEPRECATED:
            self._parameter(name, parameters.convert(name, args))

    def _base(self, path: str) -> None:
        digest = self._digest(path)
        if digest is None:
            self._said["from"] = path
        else:
            self._said.setdefault("files", {})[posixpath.basename(path)] = digest

    def _digest(self, path: str) -> str | None:
        """The file's digest, None if there is none; folders without a model are refused."""
        if path in self._digests:
            return self._digests[path]
        if _is_or_holds(self._path(path), posixpath.normpath(self._directory)):
            raise InvalidModelfile(_NOTHING_THERE)
        return None

    def _path(self, path: str) -> str:
        if path.startswith("~"):
            user = path[1:].partition("/")[0]
            path = posixpath.expanduser(path)
            if path.startswith("~"):
                raise InvalidModelfile(f"failed to find user '{user}': user: unknown user {user}")
        return posixpath.normpath(posixpath.join(self._directory, path))

    def _parameter(self, name: str, value: parameters.Value) -> None:
        known = self.parameters.get(name)
        if isinstance(known, list) and isinstance(value, list):
            value = known + value
        self.parameters[name] = value


def _is_or_holds(folder: str, inner: str) -> bool:
    above = folder in ("/", ".", "..") or folder.endswith("/..")
    return above or inner == folder or inner.startswith(folder + "/")


def version(text: str) -> str:
    """A version as REQUIRES takes it, without the v it may begin with; else InvalidModelfile."""
    written = text if text.startswith("v") else f"v{text}"
    if not _SEMVER.fullmatch(written):
        raise InvalidModelfile("requires must be a valid semver (e.g. 0.14.0)")
    return written.removeprefix("v")


# --- and back ------------------------------------------------------------------------------------


def render(commands: Iterable[Command]) -> str:
    """The text of a Modelfile that has exactly these instructions; InvalidModelfile if none has."""
    return "".join(f"{_render(command)}\n" for command in commands)


def _render(command: Command) -> str:
    name, value = command.name, command.args
    if name == "model":
        head = "FROM"
    elif name == "message":
        role, _colon, value = value.partition(": ")
        head = f"MESSAGE {role}"
    elif name in INSTRUCTIONS:
        head = name.upper()
    else:
        head = f"PARAMETER {name}"
    quoted = [f"{quote}{value}{quote}" for quote in ('"', '"""')]
    plain = [] if "\n" in value or value != value.strip(" ") else [value]
    for written in (*plain, *quoted, value):
        if _reads_as(f"{head} {written}\n", command):
            return f"{head} {written}"
    raise InvalidModelfile(f"no Modelfile can say {head} with the value {value!r}")


def _reads_as(text: str, command: Command) -> bool:
    """Whether the text means this one command, whatever follows."""
    after = "FROM x\n"
    try:
        read = parse(text + after).commands
    except InvalidModelfile:
        return False
    return read == (command, Command("model", "x"))

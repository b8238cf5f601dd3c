# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of Go's text/template that prompt templates use, and Ollama's way of filling them in."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import operator
import re
import typing as t

from lab.ollama import gofmt, gojson
from lab.ollama.errors import ApiError

Message = dict[str, t.Any]
_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)"""
    r"""|(?P<variable>\$\w*)|(?P<field>\.\w+)|(?P<dot>\.)|(?P<assign>:=|=)"""
    r"""|(?P<symbol>[|(),])|(?P<word>\w+))""",
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class TemplateError(Exception):
    """The template is malformed, or uses what is not supported here."""


@dataclasses.dataclass(frozen=True)
class Term:
    """An operand: a constant, a variable, the dot, a function name or a parenthesised pipeline."""

    kind: str
    value: t.Any
    fields: tuple[str, ...] = ()


Command = tuple[Term, ...]


@dataclasses.dataclass(frozen=True)
class Pipe:
    """Commands joined by `|`, possibly declaring variables."""

    commands: tuple[Command, ...]
    declares: tuple[str, ...] = ()
    assigns: bool = False


@dataclasses.dataclass(frozen=True)
class Node:
    """Text, an action, or a block with a body and an alternative."""

    kind: str
    text: str = ""
    pipe: Pipe | None = None
    body: tuple[Node, ...] = ()
    orelse: tuple[Node, ...] = ()


class _Parser:
    def __init__(self, source: str) -> None:
        self.pieces = list(_pieces(source))
        self.position = 0

    def template(self) -> tuple[Node, ...]:
        nodes, stopped_by = self._nodes()
        if stopped_by:
            raise TemplateError(f"template: :1: unexpected {{{{{stopped_by}}}}}")
        return nodes

    def _nodes(self) -> tuple[tuple[Node, ...], str]:
        nodes: list[Node] = []
        while self.position < len(self.pieces):
            kind, text = self.pieces[self.position]
            self.position += 1
            if kind == "text":
                nodes.append(Node("text", text))
                continue
            word, _, rest = text.strip().partition(" ")
            if word in ("end", "else"):
                return tuple(nodes), text.strip()
            if word in ("if", "range", "with"):
                nodes.append(self._block(word, rest))
            elif word in ("define", "template", "block"):
                raise TemplateError(f'template: :1: "{word}" is not supported')
            elif word in ("break", "continue"):
                nodes.append(Node(word))
            elif word and not word.startswith("/*"):
                nodes.append(Node("action", pipe=_pipe(text)))
        return tuple(nodes), ""

    def _block(self, kind: str, condition: str) -> Node:
        body, stopped_by = self._nodes()
        orelse: tuple[Node, ...] = ()
        if stopped_by == "else":
            orelse, stopped_by = self._nodes()
        elif stopped_by.startswith("else "):
            nested, _, rest = stopped_by.removeprefix("else ").strip().partition(" ")
            return Node(kind, pipe=_pipe(condition), body=body, orelse=(self._block(nested, rest),))
        if stopped_by != "end":
            raise TemplateError("template: :1: unexpected EOF")
        return Node(kind, pipe=_pipe(condition), body=body, orelse=orelse)


def _pieces(source: str) -> t.Iterator[tuple[str, str]]:
    position, trim = 0, False
    for match in _ACTION.finditer(source):
        text = source[position : match.start()]
        text = text.lstrip(" \t\r\n") if trim else text
        yield "text", text.rstrip(" \t\r\n") if match.group(1) else text
        yield "action", match.group(2)
        position, trim = match.end(), bool(match.group(3))
    rest = source[position:]
    if "{{" in rest:
        raise TemplateError("template: :1: unclosed action")
    yield "text", rest.lstrip(" \t\r\n") if trim else rest


def _pipe(source: str) -> Pipe:
    tokens = _tokens(source)
    declares: list[str] = []
    signs = [index for index, token in enumerate(tokens) if token[0] == "assign"]
    assigns = bool(signs) and tokens[signs[0]][1] == "="
    if signs:
        declares = [value for kind, value in tokens[: signs[0]] if kind == "variable"]
        tokens = tokens[signs[0] + 1 :]
    commands, rest = _commands(tokens)
    if rest:
        raise TemplateError(f'template: :1: unexpected "{rest[0][1]}" in operand')
    return Pipe(commands, tuple(declares), assigns)


def _tokens(source: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, text = 0, source.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise TemplateError(f'template: :1: unexpected "{text[position]}" in operand')
        gap = match.group(0) != match.group(match.lastgroup)
        kind = match.lastgroup
        # A field right behind an operand belongs to it; after a blank it is an operand itself.
        joined = kind == "field" and not gap and tokens and tokens[-1][1] not in "(|,"
        tokens.append(("chain" if joined else kind, match.group(kind)))
        position = match.end()
    return tokens


def _commands(tokens: list[tuple[str, str]]) -> tuple[tuple[Command, ...], list[tuple[str, str]]]:
    commands: list[Command] = []
    current: list[Term] = []
    rest = list(tokens)
    while rest:
        kind, value = rest[0]
        if value == ")" and kind == "symbol":
            break
        rest = rest[1:]
        if kind == "symbol" and value == "|":
            commands.append(tuple(current))
            current = []
        elif kind == "symbol" and value == "(":
            inner, rest = _commands(rest)
            if not rest:
                raise TemplateError("template: :1: unclosed left paren")
            rest = rest[1:]
            current.append(Term("pipe", Pipe(inner)))
        elif kind == "chain":
            last = current.pop()
            current.append(dataclasses.replace(last, fields=(*last.fields, value[1:])))
        else:
            current.append(_term(kind, value))
    commands.append(tuple(current))
    if not all(commands):
        raise TemplateError("template: :1: missing value for command")
    return tuple(commands), rest


def _term(kind: str, value: str) -> Term:
    if kind == "string":
        if value.startswith("`"):
            return Term("constant", value[1:-1])
        return Term("constant", re.sub(r"\\(.)", _unescape, value[1:-1]))
    if kind == "number":
        return Term("constant", float(value) if "." in value else int(value))
    if kind == "field":
        return Term("dot", None, (value[1:],))
    if kind in ("dot", "variable"):
        return Term(kind, value)
    constants = {"true": True, "false": False, "nil": None}
    if value in constants:
        return Term("constant", constants[value])
    if value not in FUNCTIONS:
        raise TemplateError(f'template: :1: function "{value}" not defined')
    return Term("function", value)


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match.group(1), match.group(1))


def _slice(item: t.Any, start: int = 0, end: int | None = None) -> t.Any:
    return item[start:end]


def _index(item: t.Any, *keys: t.Any) -> t.Any:
    return functools.reduce(operator.getitem, keys, item)


def _printf(pattern: str, *items: t.Any) -> str:
    values = iter(items)
    return re.sub(
        r"%[vsdq]",
        lambda match: (gofmt.quote if match.group() == "%q" else _text)(next(values)),
        pattern,
    )


def _date(days: int) -> t.Callable[[], str]:
    return lambda: (datetime.date.today() - datetime.timedelta(days=days)).isoformat()


FUNCTIONS: dict[str, t.Callable[..., t.Any]] = {
    "and": lambda *items: next((item for item in items if not item), items[-1]),
    "or": lambda *items: next((item for item in items if item), items[-1]),
    "not": operator.not_,
    "eq": lambda first, *rest: any(first == item for item in rest),
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "len": lambda item: len(item.encode() if isinstance(item, str) else item or ()),
    "index": _index,
    "slice": _slice,
    "print": lambda *items: "".join(map(_text, items)),
    "printf": _printf,
    "json": gojson.dumps,
    "currentDate": _date(0),
    "yesterdayDate": _date(1),
}


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class _Run:
    """One execution: output and variables by scope."""

    def __init__(self, data: dict[str, t.Any]) -> None:
        self.output: list[str] = []
        self.scopes: list[dict[str, t.Any]] = [{"$": data}]

    def nodes(self, nodes: t.Iterable[Node], dot: t.Any) -> None:
        for node in nodes:
            self._node(node, dot)

    def _node(self, node: Node, dot: t.Any) -> None:
        if node.kind == "text":
            self.output.append(node.text)
        elif node.kind == "break":
            raise _Break
        elif node.kind == "continue":
            raise _Continue
        elif node.kind == "action":
            pipe = t.cast(Pipe, node.pipe)
            value = self._pipe(pipe, dot)
            if pipe.declares:
                self._set(pipe.declares[0], value, declare=not pipe.assigns)
            else:
                self.output.append(_text(value))
        else:
            self._block(node, dot)

    def _block(self, node: Node, dot: t.Any) -> None:
        pipe = t.cast(Pipe, node.pipe)
        value = self._pipe(pipe, dot)
        self.scopes.append({})
        try:
            if node.kind == "range" and value:
                self._range(node, pipe.declares, value)
            elif value:
                if pipe.declares:
                    self._set(pipe.declares[0], value, declare=True)
                self.nodes(node.body, value if node.kind == "with" else dot)
            else:
                self.nodes(node.orelse, dot)
        finally:
            self.scopes.pop()

    def _range(self, node: Node, declares: tuple[str, ...], value: t.Any) -> None:
        pairs = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value))
        for key, item in pairs:
            if declares:
                self._set(declares[-1], item, declare=True)
            if len(declares) == 2:
                self._set(declares[0], key, declare=True)
            try:
                self.nodes(node.body, item)
            except _Continue:
                continue
            except _Break:
                break

    def _set(self, name: str, value: t.Any, *, declare: bool) -> None:
        scope = self.scopes[-1]
        if not declare:
            scope = next((one for one in reversed(self.scopes) if name in one), scope)
        scope[name] = value

    def _pipe(self, pipe: Pipe, dot: t.Any) -> t.Any:
        value: t.Any = None
        for index, command in enumerate(pipe.commands):
            extra = (value,) if index else ()
            head = command[0]
            if head.kind == "function":
                items = [self._term(term, dot) for term in command[1:]]
                value = FUNCTIONS[head.value](*items, *extra)
            else:
                value = self._term(head, dot)
        return value

    def _term(self, term: Term, dot: t.Any) -> t.Any:
        if term.kind == "constant":
            value = term.value
        elif term.kind == "dot":
            value = dot
        elif term.kind == "variable":
            value = self._variable(term.value)
        elif term.kind == "function":
            value = FUNCTIONS[term.value]()
        else:
            value = self._pipe(term.value, dot)
        for field in term.fields:
            value = value.get(field) if isinstance(value, dict) else None
        return value

    def _variable(self, name: str) -> t.Any:
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        raise TemplateError(f'template: :1: undefined variable "{name}"')


def _text(value: t.Any) -> str:
    return "" if value is None else gofmt.value(value)


@functools.lru_cache(maxsize=32)
def parse(source: str) -> tuple[Node, ...]:
    """Return the nodes of a template; one that never mentions a response gets it appended."""
    nodes = _Parser(source).template()
    used = set(_fields(nodes))
    if not used & {"Messages", "Response"}:
        nodes = (*nodes, Node("action", pipe=Pipe(((Term("dot", None, ("Response",)),),))))
    return nodes


def check(source: str) -> None:
    """Raise the 400 that a malformed template earns."""
    if (found := mistake(source)) is not None:
        raise ApiError(f"template error: {found}", 400)


def mistake(source: str) -> str | None:
    """What is wrong with a template, in Go's words, or None."""
    try:
        parse(source)
    except TemplateError as error:
        return str(error)
    return None


def _fields(nodes: t.Iterable[Node]) -> t.Iterator[str]:
    for node in nodes:
        if node.pipe is not None:
            yield from _pipe_fields(node.pipe)
        yield from _fields(node.body)
        yield from _fields(node.orelse)


def _pipe_fields(pipe: Pipe) -> t.Iterator[str]:
    for command in pipe.commands:
        for term in command:
            yield from term.fields
            if term.kind == "pipe":
                yield from _pipe_fields(term.value)


def _until_response(nodes: t.Iterable[Node]) -> tuple[tuple[Node, ...], bool]:
    """Return the nodes up to the first use of the response, and whether there was one."""
    kept: list[Node] = []
    for node in nodes:
        if node.pipe is not None and "Response" in _pipe_fields(node.pipe):
            return (*kept, dataclasses.replace(node, body=(), orelse=())), True
        body, cut = _until_response(node.body)
        if cut:
            return (*kept, dataclasses.replace(node, body=body, orelse=())), True
        orelse, cut = _until_response(node.orelse)
        kept.append(dataclasses.replace(node, orelse=orelse))
        if cut:
            return tuple(kept), True
    return tuple(kept), False


def execute(nodes: tuple[Node, ...], data: dict[str, t.Any]) -> str:
    """Return what the template makes of the data."""
    run = _Run(data)
    try:
        run.nodes(nodes, data)
    except (TemplateError, TypeError, IndexError, KeyError) as error:
        raise ApiError(f"template: {error}") from None
    return "".join(run.output)


def render_messages(source: str, messages: list[Message]) -> str:
    """Return the prompt for a conversation, ready for the model to go on."""
    try:
        nodes = parse(source)
    except TemplateError as error:
        raise ApiError(str(error)) from None
    merged = _merged(messages)
    if "Messages" in set(_fields(nodes)):
        system = "\n\n".join(one["content"] for one in messages if one["role"] == "system")
        data = {"System": system, "Messages": [_fielded(one) for one in merged], "Response": ""}
        return execute(nodes, data)
    return _by_turns(nodes, merged)


def _by_turns(nodes: tuple[Node, ...], messages: list[Message]) -> str:
    """Fill a template that knows one turn only, once per turn; the last one stays open."""
    output: list[str] = []
    turn = {"System": "", "Prompt": "", "Response": ""}

    def flush() -> None:
        output.append(execute(nodes, dict(turn)))
        turn.update(System="", Prompt="", Response="")

    for message in messages:
        if message["role"] == "system":
            if turn["Prompt"] or turn["Response"]:
                flush()
            turn["System"] = message["content"]
        elif message["role"] == "user":
            if turn["Response"]:
                flush()
            turn["Prompt"] = message["content"]
        elif message["role"] == "assistant":
            turn["Response"] = message["content"]
    output.append(execute(_until_response(nodes)[0], turn))
    return "".join(output)


def _merged(messages: list[Message]) -> list[Message]:
    """Join neighbours of one role."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"] != "tool":
            joined = merged[-1]["content"] + "\n\n" + message["content"]
            merged[-1] = {**merged[-1], "content": joined}
        else:
            merged.append(dict(message))
    return merged


def _fielded(message: Message) -> dict[str, t.Any]:
    return {
        "Role": message["role"],
        "Content": message["content"],
        "Thinking": "",
        "Images": None,
        "ToolCalls": None,
        "ToolName": "",
        "ToolCallID": "",
    }

# SPDX-License-Identifier: GPL-3.0-or-later
"""Misbehaviour on request: the rules, and which of them strikes a request.

A rule strikes only where it can do what it says, and only then is it counted and recorded.
"""

from __future__ import annotations

import fnmatch
import typing as t

from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.origin.record import CONTROL_PREFIX, ENTRY
from lab.origin.shared import SharedFile

CDN_PREFIXES = ("/ollama/blobs/", "/hf-cdn/")
PAGE = "<!DOCTYPE html><title>Sign in</title><h1>Sign in to this network</h1>\n"
_KEY = "lab.faults"
#: The server's own: others would break the connection, which other rules do better.
_FRAMING = {"content-length", "transfer-encoding", "connection"}

Rule = dict[str, t.Any]


class BadRule(ValueError):
    """A rule that cannot be understood; says which one and why."""


def role_of(path: str) -> str:
    """Return which of the two hosts a path belongs to."""
    return "cdn" if path.startswith(CDN_PREFIXES) else "origin"


class Faults:
    """The rules that hold now, for all processes over one data directory."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    def add(self, rules: object) -> list[Rule]:
        """Append rules; returns all of them."""
        if not isinstance(rules, list):
            raise BadRule("the rules must be a list")
        fresh = [_checked(rule, f"rule {n}") for n, rule in enumerate(rules, start=1)]
        with self._file.changing() as all_rules:
            all_rules += fresh
            return list(all_rules)

    def list(self) -> list[Rule]:
        return list(self._file.read())

    def clear(self) -> None:
        with self._file.changing() as rules:
            rules.clear()

    def take(self, kind: str, scope: Scope, when: t.Callable[[t.Any], bool]) -> t.Any | None:
        """Use up one strike of the first rule of a kind that applies; returns what it orders."""
        if not any(_applies(rule, kind, scope, when) for rule in self._file.read()):
            return None
        with self._file.changing() as rules:
            for rule in rules:
                if _applies(rule, kind, scope, when):
                    rule["fired"] += 1
                    return rule["action"][kind]
        return None


def _applies(rule: Rule, kind: str, scope: Scope, when: t.Callable[[t.Any], bool]) -> bool:
    match, count = rule["match"], rule["count"]
    return (
        kind in rule["action"]
        and (count is None or rule["fired"] < count)
        and match.get("method", scope["method"]) == scope["method"]
        and match.get("role", role_of(scope["path"])) == role_of(scope["path"])
        and fnmatch.fnmatchcase(scope["path"], match.get("path", "*"))
        and when(rule["action"][kind])
    )


def take(scope: Scope, kind: str, when: t.Callable[[t.Any], bool] = lambda _: True) -> t.Any | None:
    """What the rules order for this request, if anything; from here on it is in the record."""
    faults: Faults | None = scope.get(_KEY)
    order = faults.take(kind, scope, when) if faults else None
    if order is not None and (entry := scope.get(ENTRY)) is not None:
        entry["fault"] = f"{entry['fault']}+{kind}" if entry["fault"] else kind
    return order


class Misbehave:
    """ASGI middleware: answers that replace the real one, and the rules for whoever sends it."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self.app(scope, receive, send)
            return
        scope[_KEY] = self.faults
        await (_instead(scope) or self.app)(scope, receive, send)


def _instead(scope: Scope) -> Response | None:
    status = take(scope, "status")
    if status is not None:
        answer = PlainTextResponse("as ordered\n", status_code=status["code"])
        headers = MutableHeaders(raw=answer.raw_headers)
        for name, value in status["headers"].items():
            headers[name] = value
        return answer
    if take(scope, "html"):
        return HTMLResponse(PAGE)
    return None


def _checked(rule: object, where: str) -> Rule:
    """The rule with its defaults filled in."""
    fields = _fields(rule, {"match", "count", "action"}, where)
    match = _fields(fields.get("match", {}), {"method", "path", "role"}, f"{where}, match")
    if not all(isinstance(value, str) for value in match.values()):
        raise BadRule(f"{where}, match: the values must be text")
    if match.get("role", "cdn") not in ("origin", "cdn"):
        raise BadRule(f"{where}, match: role must be origin or cdn")
    count = fields.get("count", 1)
    if count is not None and not _is_number(count, 1):
        raise BadRule(f"{where}: count must be a number from 1 on, or null for every time")
    action = _fields(fields.get("action"), set(_ACTIONS), f"{where}, action")
    if len(action) != 1:
        raise BadRule(f"{where}: one action is needed, out of {', '.join(_ACTIONS)}")
    ((kind, value),) = action.items()
    understood = _ACTIONS[kind](value)
    if understood is None:
        raise BadRule(f"{where}, action: {kind} does not take {value!r}")
    return {"match": match, "count": count, "action": {kind: understood}, "fired": 0}


def _fields(value: object, known: set[str], where: str) -> dict[str, t.Any]:
    if not isinstance(value, dict):
        raise BadRule(f"{where}: must be an object")
    if unknown := sorted(value.keys() - known):
        raise BadRule(f"{where}: {', '.join(unknown)} is not known, only {sorted(known)}")
    return value


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number_from(least: int) -> t.Callable[[t.Any], int | None]:
    return lambda value: value if _is_number(value, least) else None


def _one_of(*words: str) -> t.Callable[[t.Any], str | None]:
    """One of the words; true stands for the first."""

    def understand(value: t.Any) -> str | None:
        word = words[0] if value is True else value
        return word if word in words else None

    return understand


def _yes(value: t.Any) -> t.Literal[True] | None:
    return True if value is True else None


def _status(value: t.Any) -> dict[str, t.Any] | None:
    order = {"code": value} if isinstance(value, int) else value
    if not isinstance(order, dict) or not order.keys() <= {"code", "headers"}:
        return None
    code, headers = order.get("code"), order.get("headers", {})
    if code not in range(400, 600) or not isinstance(headers, dict):
        return None
    texts = {str(name).lower(): str(value) for name, value in headers.items()}
    return None if texts.keys() & _FRAMING else {"code": code, "headers": texts}


def _change(value: t.Any) -> str | None:
    if not isinstance(value, dict) or not isinstance(value.get("same_size"), bool):
        return None
    if len(value) != 1:
        return None
    return "same size" if value["same_size"] else "other size"


_ACTIONS: dict[str, t.Callable[[t.Any], t.Any | None]] = {
    "cut_after": _number_from(0),
    "reset_after": _number_from(0),
    "stall_after": _number_from(0),
    "throttle": _number_from(1),
    "ignore_range": _yes,
    "wrong_content_range": _one_of("start", "total"),
    "change_file": _change,
    "status": _status,
    "gzip": _one_of("always", "if accepted"),
    "html": _yes,
    "expire": _yes,
}

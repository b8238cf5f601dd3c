# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: flags before and between the words, each with an environment variable."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from collections.abc import Mapping, Sequence

from lab.cloudflared.errors import CommandError

#: Flags that take a value, and the variable that stands in for each.
VALUES = {
    "metrics": "TUNNEL_METRICS",
    "loglevel": "TUNNEL_LOGLEVEL",
    "transport-loglevel": "TUNNEL_TRANSPORT_LOGLEVEL",
    "logfile": "TUNNEL_LOGFILE",
    "pidfile": "TUNNEL_PIDFILE",
    "grace-period": "TUNNEL_GRACE_PERIOD",
    "retries": "TUNNEL_RETRIES",
    "edge-ip-version": "TUNNEL_EDGE_IP_VERSION",
    "protocol": "TUNNEL_TRANSPORT_PROTOCOL",
    "token": "TUNNEL_TOKEN",
    "token-file": "TUNNEL_TOKEN_FILE",
}
SWITCHES = {
    "no-autoupdate": "NO_AUTOUPDATE",
    "no-prechecks": "TUNNEL_NO_PRECHECKS",
    "short": "",
    "version": "",
}
_SHORT = {"v": "version", "V": "version", "p": "protocol", "s": "short"}
_FLAG = re.compile(r"--?([A-Za-z][A-Za-z0-9-]*)(?:=(.*))?", re.DOTALL)
_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:h|ms|m|us|s))+|0")


@dataclasses.dataclass(frozen=True)
class Line:
    """A command line that was understood."""

    words: tuple[str, ...]
    given: Mapping[str, str]
    environment: Mapping[str, str]

    def value(self, name: str) -> str:
        """A flag's value, its variable's, or nothing."""
        return self.given.get(name) or self.environment.get(VALUES[name], "")

    def switch(self, name: str) -> bool:
        return self.given.get(name, "false") in _TRUE


def parse(argv: Sequence[str], environment: Mapping[str, str]) -> Line:
    """Tell flags from words; what the real program would not know is an error here too."""
    words: list[str] = []
    given: dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words += rest
            break
        flag = _FLAG.fullmatch(word)
        if flag is None:
            words.append(word)
            continue
        name = _SHORT.get(flag[1], flag[1])
        if name in SWITCHES:
            given[name] = _boolean(name, flag[2])
        elif name in VALUES:
            value = flag[2] if flag[2] is not None else next(rest, None)
            if value is None:
                raise _incorrect(f"flag needs an argument: -{flag[1]}")
            given[name] = value
        else:
            raise _incorrect(f"flag provided but not defined: -{flag[1]}")
    line = Line(tuple(words), given, environment)
    if (period := line.value("grace-period")) and not _DURATION.fullmatch(period):
        raise _incorrect(f'invalid value "{period}" for flag -grace-period: parse error')
    return line


def _boolean(name: str, value: str | None) -> str:
    if value is not None and value not in _TRUE | _FALSE:
        raise _incorrect(f'invalid boolean value "{value}" for -{name}: parse error')
    return value or "true"


def _incorrect(problem: str) -> CommandError:
    return CommandError(f"Incorrect Usage: {problem}")


def settings(line: Line) -> dict[str, t.Any]:
    """What was set by flags, as the log shows it: without secrets."""
    return {name: "*****" if name == "token" else line.given[name] for name in sorted(line.given)}


def variables(line: Line) -> dict[str, str]:
    """What was set by the environment, as the log shows it: without secrets."""
    shown = {name: value for name, value in line.environment.items() if "TUNNEL_" in name}
    return {n: "*****" if n == "TUNNEL_TOKEN" else shown[n] for n in sorted(shown)}

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What daemon.json should hold once several owners have had their say. Pure. Private."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import typing as t

from .errors import Refused

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Config = dict[str, t.Any]
Leaf = tuple[str, ...]

# The engine's own words for "I do not start", the most telling first.
_TELLING = (
    re.compile(r"unable to configure the Docker daemon|failed to start daemon"),
    re.compile(r"level=fatal"),
    re.compile(r"level=error"),
    re.compile(r"[Ff]ailed"),
)


# A slash may be written \/ in JSON, and a password may hold an escaped quote.
_PASSWORD = re.compile(r'(:(?:\\?/){2}[^:@/\s"]*):(?:\\[^/]|[^/\s"\\])*@')


@dataclasses.dataclass(frozen=True)
class Merged:
    """The file's next content, and the part of it that the section answers for from then on."""

    config: Config
    applied: Config


def parse(text: str, path: str) -> Config:
    """The configuration in a file's text; empty text is an empty one, as the engine has it."""
    if not text.strip():
        return {}
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        raise Refused(
            f"{path}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}). "
            "The file was left as it is. Mend it by hand (a comma too many or too few and comments "
            "are the usual causes) or move it away, then run again."
        ) from error
    if not isinstance(config, dict):
        raise Refused(
            f"{path} does not hold a JSON object. The file was left as it is. It must read "
            '{"key": value, ...}: mend it by hand or move it away, then run again.'
        )
    return config


def render(config: Config) -> str:
    """The text of a configuration file; keys keep their order."""
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def masked(text: str) -> str:
    """A text without the passwords that its URLs hold; what was JSON still is."""
    return _PASSWORD.sub(r"\1:********@", text)


def same(one: object, other: object) -> bool:
    """Whether two values are the same JSON: there, unlike in Python, true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def merge(file: Config, wanted: Config, last_applied: Mapping[str, Config], section: str) -> Merged:
    """Merge one section's keys into the file.

    What the section set before and no longer wants goes, unless somebody gave it another value
    since or another section wants it too. What it wants is set. Everything else stays.
    A wanted key without a value (null) counts as not wanted.
    """
    goal = _leaves(wanted)
    mine = _leaves(last_applied.get(section, {}))
    others = {name: _leaves(said) for name, said in last_applied.items() if name != section}
    _refuse_conflicts(section, goal, others)
    shared = {leaf for leaves in others.values() for leaf in leaves}
    config = copy.deepcopy(file)
    for leaf, value in mine.items():
        if leaf not in goal and leaf not in shared and same(_get(config, leaf), value):
            _remove(config, leaf)
    applied: Config = {}
    for leaf, value in goal.items():
        # A value that was there by hand stays its author's: it is not ours to take away later.
        if leaf in mine or leaf in shared or not same(_get(config, leaf), value):
            _set(applied, leaf, value)
        _set(config, leaf, value)
    return Merged(config, applied)


def telling_line(journal: Sequence[str]) -> str:
    """The line that says best why the engine did not start; empty when the journal is."""
    lines = [line.strip() for line in journal if line.strip()]
    for pattern in _TELLING:
        for line in reversed(lines):
            if pattern.search(line):
                return line
    return lines[-1] if lines else ""


def _refuse_conflicts(
    section: str, goal: Mapping[Leaf, t.Any], others: Mapping[str, Mapping[Leaf, t.Any]]
) -> None:
    for name, leaves in others.items():
        for theirs, their_value in leaves.items():
            for ours, our_value in goal.items():
                overlap = ours[: len(theirs)] == theirs[: len(ours)]
                if overlap and not (ours == theirs and same(our_value, their_value)):
                    wish = masked(json.dumps(our_value))
                    raise Refused(
                        f"The section {section!r} wants {'.'.join(ours)} = {wish}"
                        f" in daemon.json, but the section {name!r} has set {'.'.join(theirs)} = "
                        f"{masked(json.dumps(their_value))}. Take the key out of one of the two."
                    )


def _leaves(config: Config, above: Leaf = ()) -> dict[Leaf, t.Any]:
    """Path and value of everything that is not itself a filled object."""
    found: dict[Leaf, t.Any] = {}
    for key, value in config.items():
        path = (*above, key)
        if isinstance(value, dict) and value:
            found.update(_leaves(value, path))
        elif value is not None:
            found[path] = value
    return found


def _get(config: Config, leaf: Leaf) -> object:
    value: object = config
    for key in leaf:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def _set(config: Config, leaf: Leaf, value: object) -> None:
    *above, last = leaf
    for key in above:
        if not isinstance(config.get(key), dict):
            config[key] = {}
        config = config[key]
    # An empty object asks for the key to be there, not for its content to go.
    if value != {} or not isinstance(config.get(last), dict):
        config[last] = copy.deepcopy(value)


def _remove(config: Config, leaf: Leaf) -> None:
    """Take a leaf out, and the objects that it leaves empty."""
    *above, last = leaf
    parents = [config]
    for key in above:
        parents.append(parents[-1][key])
    del parents[-1][last]
    for parent, key in zip(reversed(parents[:-1]), reversed(above), strict=True):
        if parent[key]:
            return
        del parent[key]

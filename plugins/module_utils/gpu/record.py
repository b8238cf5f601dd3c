# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verdict as a file: what the last look found, and what changed since. Private."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..atomic import write_json
from .gate import IDLE, OK, UNCHECKED, Row, Verdict

_ERROR = "<3>"
_NOTICE = "<5>"
_UNSEEN = (UNCHECKED, IDLE)


@dataclass(frozen=True)
class Record:
    """What was kept. C(states): of each row the last state that was really looked at."""

    content: Mapping[str, Any] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)


def read(path: str) -> Record:
    """The record; a file that is gone or damaged says nothing, as if it had never been written."""
    try:
        content = json.loads(Path(path).read_bytes())
    except (FileNotFoundError, ValueError):
        return Record()
    states = content.get("states") if isinstance(content, dict) else None
    if not isinstance(states, dict):
        return Record()
    return Record(content, {str(code): str(state) for code, state in states.items()})


def result(verdict: Verdict) -> dict[str, Any]:
    """The verdict for programs."""
    return {
        "gpu_expected": verdict.gpu_expected,
        "on_gpu": verdict.on_gpu,
        "summary": verdict.summary,
        "rows": [row.told for row in verdict.rows],
    }


def content(before: Record, verdict: Verdict) -> dict[str, Any]:
    """What is to be kept of a verdict."""
    states = {row.code: _state(before, row) for row in verdict.rows}
    return {**result(verdict), "states": states}


def keep(path: str, wanted: Mapping[str, Any]) -> None:
    """Write the record, in one step."""
    write_json(path, wanted)


def changes(before: Record, verdict: Verdict) -> Iterator[str]:
    """One line for the journal for each change; the whole state when nothing is known before."""
    if not before.states:
        yield _whole(verdict)
        return
    for row in verdict.rows:
        known = before.states.get(row.code, OK)
        # A row that could not be judged follows from one that is told.
        if row.state not in (*_UNSEEN, known):
            yield _line(row)


def _state(before: Record, row: Row) -> str:
    return before.states.get(row.code, OK) if row.state in _UNSEEN else row.state


def _whole(verdict: Verdict) -> str:
    broken = [_told(row) for row in verdict.rows if not row.ok and row.state != UNCHECKED]
    if broken:
        return f"{_ERROR}{' | '.join(broken)}"
    found = [f"{row.check}: {row.found}" for row in verdict.rows]
    return f"{_NOTICE}{' | '.join(found)}"


def _line(row: Row) -> str:
    return f"{_NOTICE if row.ok else _ERROR}{_told(row)}"


def _told(row: Row) -> str:
    if row.ok:
        return f"{row.check}: {row.found}"
    return f"{row.check}: NO. {row.found}. Type: {row.remedy}"

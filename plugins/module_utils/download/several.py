# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of one model, which are had all together or not begun. Private."""

from __future__ import annotations

import dataclasses
import typing as t

from . import engine, record, room
from .errors import Refused

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .engine import Manner, Outcome, Wanted


def ensure(parts: Sequence[Wanted], manner: Manner, *, size: int | None = None) -> list[Outcome]:
    """Each file complete and proved at its place; C(size) is what they must have together."""
    if len(parts) == 1:
        return [engine.ensure(dataclasses.replace(parts[0], size=size), manner)]
    parts, seen = _look(parts, manner)
    if any(outcome.deferred and not outcome.bytes_fetched for outcome in seen):
        # To find out more takes long already.
        return seen
    total, missing = sum(each.size for each in seen), sum(each.bytes_fetched for each in seen)
    if size not in (None, total):
        raise Refused(
            f"The {len(parts)} files have {total} bytes together, but size says {size}. "
            "Nothing was fetched."
        )
    is_put_off = manner.fetch_at_most is not None and missing > manner.fetch_at_most
    if missing and not is_put_off:
        room.refuse([need for pair in zip(parts, seen, strict=True) for need in _needs(*pair)])
    if manner.check_mode or is_put_off:
        return seen
    done, fetched = total - missing, 0
    for index, (part, outcome) in enumerate(zip(parts, seen, strict=True)):
        if outcome.deferred:
            there = done - (outcome.size - outcome.bytes_fetched)
            report = _reporter(manner, there, total, fetched)
            seen[index] = engine.ensure(part, dataclasses.replace(manner, report=report))
            done += outcome.bytes_fetched
            fetched += seen[index].bytes_fetched
    return seen


def _look(parts: Sequence[Wanted], manner: Manner) -> tuple[list[Wanted], list[Outcome]]:
    """What is to be done for each, all of one commit. What needs no byte is done at once."""
    looking = dataclasses.replace(manner, fetch=False)
    commit = _commit(parts)
    seen = []
    for part in parts:
        seen.append(engine.ensure(dataclasses.replace(part, commit=commit), looking))
        commit = commit or seen[-1].commit
    return [dataclasses.replace(part, commit=commit) for part in parts], seen


def _commit(parts: Sequence[Wanted]) -> str | None:
    """The commit of what is there already: a branch may have moved on since."""
    for part in parts:
        known = record.read(part.record)
        same = known is not None and known.asked == part.source.asked
        if known and same and known.commit and engine.look(part.dest):
            return known.commit
    return None


def _needs(part: Wanted, outcome: Outcome) -> Sequence[room.Need]:
    """What room the file takes. One that is there is imported with the others all the same."""
    return outcome.needs or room.needs(part.dest, 0, outcome.size, part.room)


def _reporter(manner: Manner, there: int, total: int, before: int) -> t.Callable[..., None]:
    def report(done: int, _size: int, fetched: int) -> None:
        manner.report(there + done, total, before + fetched)

    return report

# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured, and whether that is what was aimed at. Pure."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t

from tests.bench.kills import Killed
from tests.bench.measure import Taken
from tests.bench.tools import OURS

GB = 1_000_000_000
MOST_MEMORY = 150_000_000
MOST_EXCESS = 0.01


@dataclasses.dataclass(frozen=True)
class Summary:
    """One tool in one case, over its rounds."""

    seconds: float
    cpu_per_gb: float
    memory: int
    rounds: int


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a target is met, and by how much."""

    case: str
    met: bool
    text: str


def summary(taken: t.Sequence[Taken], size: int) -> Summary:
    """The median of the times; of the memory, the most."""
    return Summary(
        seconds=statistics.median(one.seconds for one in taken),
        cpu_per_gb=statistics.median(one.cpu for one in taken) / size * GB,
        memory=max(one.memory for one in taken),
        rounds=len(taken),
    )


@dataclasses.dataclass
class Results:
    """Of each case that ran, every tool by name."""

    capped: dict[str, Summary] = dataclasses.field(default_factory=dict)
    uncapped: dict[str, Summary] = dataclasses.field(default_factory=dict)
    killed: dict[str, Killed] = dataclasses.field(default_factory=dict)

    @property
    def memory(self) -> int:
        """The most that ours ever held."""
        held = [case[OURS].memory for case in (self.capped, self.uncapped) if OURS in case]
        return max([*held, *(one.last.memory for name, one in self.killed.items() if name == OURS)])

    def verdicts(self) -> list[Verdict]:
        """One line for each target whose case ran."""
        found = []
        if self.capped:
            found.append(_capped(self.capped))
        if self.uncapped:
            found.append(_uncapped(self.uncapped))
        if self.killed:
            found.append(_killed(self.killed[OURS]))
        said = f"{self.memory / 1e6:.0f} MB of memory at most, all processes together (under 150)"
        return [*found, Verdict("d", self.memory < MOST_MEMORY, said)]


def ratio(summaries: t.Mapping[str, Summary], name: str) -> float:
    """How long it takes, where ours takes 1."""
    return summaries[name].seconds / summaries[OURS].seconds


def _capped(summaries: t.Mapping[str, Summary]) -> Verdict:
    aria2c = ratio(summaries, "aria2c")
    said = f"`aria2c` takes {aria2c:.2f} times as long (at least 1.00)"
    return Verdict("a", aria2c >= 1, said)


def _uncapped(summaries: t.Mapping[str, Summary]) -> Verdict:
    curl = ratio(summaries, "curl + sha256sum")
    aria2c = ratio(summaries, "aria2c --checksum")
    said = (
        f"`curl` and then `sha256sum` take {curl:.2f} times as long (at least 1.00), "
        f"`aria2c --checksum` {aria2c:.2f} times (at least 2.00)"
    )
    return Verdict("b", curl >= 1 and aria2c >= 2, said)


def _killed(ours: Killed) -> Verdict:
    met = ours.right and ours.excess <= MOST_EXCESS
    said = f"{ours.kills} kills cost {percent(ours.excess)} of the file (at most 1 %)"
    return Verdict("c", met, said)


def percent(part: float) -> str:
    return f"{part * 100:.2f} %"

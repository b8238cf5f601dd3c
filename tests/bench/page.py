# SPDX-License-Identifier: GPL-3.0-or-later
"""The results as Markdown: ratios, as seconds say more about the machine than about a tool."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from tests.bench.kills import APART, MORE, Killed
from tests.bench.results import Results, Summary, percent, ratio
from tests.bench.tools import TOOLS

TEMPLATE = Path(__file__).with_name("page.md")
KILLED = """\
SIGKILL after {apart:.1f} to {latest:.1f} seconds each time, then one run to the end. Over
one connection or many, every tool gets the same share of the line. What counts is what nginx sent
by its access log. What still lay in the buffers of a connection when its reader was killed is part
of it, and the busier the machine, the more that is."""


@dataclasses.dataclass(frozen=True)
class About:
    """Where and with what it was measured."""

    date: str
    machine: str
    versions: t.Mapping[str, str]
    size: int
    killed_size: int
    kills: int
    room: int


def page(results: Results, about: About) -> str:
    """The whole of docs/benchmarks.md."""
    return TEMPLATE.read_text(encoding="utf-8").format(
        date=about.date,
        machine=about.machine,
        room=size(about.room),
        versions=", ".join(f"{name} {version}" for name, version in about.versions.items()),
        calls=_table(
            ("tool", "how it is called"), [(tool.name, f"`{tool.shown}`") for tool in TOOLS]
        ),
        tables=tables(results, about),
    )


def tables(results: Results, about: About) -> str:
    """What was measured, case by case, and the verdicts."""
    many = size(about.size)
    parts = []
    if results.capped:
        parts += [
            f"## a: {many}, 25 MB/s for each connection",
            "`gguf_file` has 16 lanes here, as many as `aria2c` has connections.",
            _ratios(results.capped),
        ]
    if results.uncapped:
        parts += [f"## b: {many}, as fast as loopback goes", _ratios(results.uncapped)]
    if results.killed:
        parts += [
            f"## c: {size(about.killed_size)}, killed {about.kills} times",
            KILLED.format(apart=APART, latest=APART + MORE),
            _killed(results.killed),
        ]
    verdicts = [(one.case, one.text, _bold("met", one.met)) for one in results.verdicts()]
    return "\n\n".join(
        [*parts, "## What was aimed at", _table(("case", "measured", "target"), verdicts)]
    )


def size(count: int) -> str:
    """The size in words: GiB or MiB where it is a whole number of them."""
    for unit, name in ((1024**3, "GiB"), (10**9, "GB"), (1024**2, "MiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count / 1e9:.2f} GB"


def _ratios(summaries: t.Mapping[str, Summary]) -> str:
    rows = [
        (
            name,
            f"{ratio(summaries, name):.2f}",
            f"{one.cpu_per_gb:.2f} s/GB",
            f"{one.memory / 1e6:.0f} MB",
        )
        for name, one in summaries.items()
    ]
    return _table(("tool", "time", "CPU", "memory"), rows)


def _killed(killed: t.Mapping[str, Killed]) -> str:
    rows = [(name, percent(one.excess), _bold("right", one.right)) for name, one in killed.items()]
    return _table(("tool", "sent beyond the file's size", "the file at the end"), rows)


def _bold(word: str, holds: bool) -> str:
    return word if holds else f"**not {word}**"


def _table(head: t.Sequence[str], rows: t.Iterable[t.Sequence[str]]) -> str:
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([first, f"|{'---|' * len(head)}", *others])

# SPDX-License-Identifier: GPL-3.0-or-later
"""The same download by several tools, taking turns, each proved."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from pathlib import Path

from tests.bench.measure import Run, Taken
from tests.bench.sample import Sample, is_same
from tests.bench.server import serving
from tests.bench.tools import LANES, Errand, Tool, environment


@contextlib.contextmanager
def tidy(folder: Path) -> t.Iterator[Path]:
    """A new folder and a disk that is at rest; the folder is gone afterwards."""
    folder.mkdir()
    # What the one before wrote must not keep the disk busy for this one.
    os.sync()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def once(tool: Tool, work: Path, sample: Sample, *, rate: int = 0, lanes: int = LANES) -> Taken:
    """What one download took; the bench ends here if it brought anything but the file."""
    with tidy(work / "run") as run, serving(run / "nginx", sample, rate) as server:
        errand = Errand(server, sample, _folder(run / "files"), lanes)
        env, log = environment(_folder(run / "home"), server.endpoint), run / "log"
        with Run(tool.command(errand), errand.folder, env, log) as started:
            taken = started.wait()
        if taken.status or not is_same(errand.dest, sample):
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise SystemExit(f"{tool.name} did not bring the file ({taken.status}):\n{said}")
        return taken


def take_turns(
    order: t.Mapping[Tool, int],
    work: Path,
    sample: Sample,
    say: t.Callable[[str], None],
    *,
    rate: int = 0,
    lanes: int = LANES,
) -> dict[str, list[Taken]]:
    """Every tool as often as said, one after the other and then again from the first."""
    taken: dict[str, list[Taken]] = {tool.name: [] for tool in order}
    for turn in range(max(order.values())):
        for tool in (tool for tool, turns in order.items() if turn < turns):
            one = once(tool, work, sample, rate=rate, lanes=lanes)
            taken[tool.name].append(one)
            say(f"  {tool.name:18} {one.seconds:7.2f} s   CPU {one.cpu:6.2f} s")
    return taken


def _folder(path: Path) -> Path:
    path.mkdir()
    return path

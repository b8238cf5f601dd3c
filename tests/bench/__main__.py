# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of downloads: `make bench-download`."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.bench import page, sample
from tests.bench.kills import survive
from tests.bench.options import Options, options
from tests.bench.results import Results, Summary, percent, summary
from tests.bench.rounds import take_turns
from tests.bench.tools import BY_NAME, LANES_OF_ARIA2, OURS, ROOT, Tool, lacking, versions

PAGE = ROOT / "docs" / "benchmarks.md"
CAP = 25_000_000
# With one connection it takes long, and is as long every time.
SINGLE = ("curl", "hf download")
KILLED = (OURS, "curl", "aria2c", "hf download")


def main() -> None:
    told = options(os.environ)
    if packages := lacking():
        raise SystemExit(
            f"The bench needs programs that are not here: apt-get install {' '.join(packages)}"
        )
    # So that everything is removed then as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The bench was told to stop."))
    place = ROOT / "build" / "bench"
    place.mkdir(parents=True, exist_ok=True)
    _refuse_full(place, told)
    with tempfile.TemporaryDirectory(dir=place) as work:
        results = measure(told, Path(work))
    about = page.About(
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        machine=f"{os.cpu_count()} cores, {platform.machine()}, {system()}",
        versions=versions(),
        size=told.size,
        killed_size=told.killed_size,
        kills=told.kills,
        room=told.room,
    )
    say(page.tables(results, about))
    if told.is_whole:
        PAGE.write_text(page.page(results, about), encoding="utf-8")
        say(f"{PAGE.relative_to(ROOT)} is written.")


def measure(told: Options, work: Path) -> Results:
    """Every case that was asked for."""
    results = Results()
    if told.runs("a") or told.runs("b"):
        file = sample.make(work / "sample", told.size)

        def turns(order: dict[Tool, int], **how: int) -> dict[str, Summary]:
            taken = take_turns(order, work, file, say, **how)
            return {name: summary(each, file.size) for name, each in taken.items()}

        if told.runs("a"):
            say(f"a: {page.size(file.size)}, 25 MB/s for each connection")
            order = {tool: 1 if tool.name in SINGLE else told.rounds for tool in tools_of_a()}
            results.capped = turns(order, rate=CAP, lanes=LANES_OF_ARIA2)
        if told.runs("b"):
            say(f"b: {page.size(file.size)}, as fast as it goes")
            results.uncapped = turns(dict.fromkeys(BY_NAME.values(), told.rounds))
        shutil.rmtree(file.path.parent)
    if told.runs("c"):
        file = sample.make(work / "sample", told.killed_size)
        say(f"c: {page.size(file.size)}, killed {told.kills} times")
        for name in KILLED:
            one = results.killed[name] = survive(BY_NAME[name], work, file, told.kills)
            end = "right" if one.right else "wrong or none"
            say(f"  {name:18} {percent(one.excess):>9} beyond, {one.kills} kills, file {end}")
    return results


def tools_of_a() -> list[Tool]:
    # One connection at 25 MB/s leaves time enough for any hash.
    return [tool for tool in BY_NAME.values() if tool.name != "curl + sha256sum"]


def system() -> str:
    """The name of this system."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def say(text: str) -> None:
    print(text, flush=True)


def _refuse_full(place: Path, told: Options) -> None:
    if (free := shutil.disk_usage(place).free) < told.room:
        raise SystemExit(f"{place} has {free} bytes free, and the bench needs {told.room}.")


if __name__ == "__main__":
    main()

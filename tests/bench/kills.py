# SPDX-License-Identifier: GPL-3.0-or-later
"""One download that is killed again and again: how much is fetched more than once."""

from __future__ import annotations

import dataclasses
import random
import time
import typing as t
from pathlib import Path

from tests.bench.measure import Run, Taken
from tests.bench.rounds import tidy
from tests.bench.sample import Sample, is_same
from tests.bench.server import serving
from tests.bench.tools import LANES, LANES_OF_ARIA2, Errand, Tool, environment

# Seconds between two kills, and how much more it is by chance.
APART = 2.0
MORE = 0.3
# How much less than the file comes between the kills, at most.
SHARE = 1.25
LOOK = 0.01
CONNECTIONS = {"gguf_file": LANES, "aria2c": LANES_OF_ARIA2}


@dataclasses.dataclass(frozen=True)
class Killed:
    """C(sent) are the bytes that left the server, C(kills) how often it was killed on the way."""

    sent: int
    size: int
    kills: int
    right: bool
    last: Taken

    @property
    def excess(self) -> float:
        """What was sent beyond the file, as a part of its size."""
        return (self.sent - self.size) / self.size


def rate_for(sample: Sample, kills: int, connections: int) -> int:
    """Bytes per second and connection, so that the file lasts longer than the kills."""
    return max(int(sample.size / (SHARE * kills * (APART + MORE / 2)) / connections), 1)


def survive(tool: Tool, work: Path, sample: Sample, kills: int) -> Killed:
    """Kill it as often, let it finish, and count."""
    rate = rate_for(sample, kills, CONNECTIONS.get(tool.name, 1))
    with tidy(work / "run") as run:
        (run / "files").mkdir()
        (run / "home").mkdir()
        with serving(run / "nginx", sample, rate) as server:
            errand = Errand(server, sample, run / "files")
            env = environment(run / "home", server.endpoint)

            def start() -> Run:
                return Run(tool.command(errand), errand.folder, env, run / "log")

            done = _kill(start, kills)
            with start() as last:
                taken = last.wait()
        right = not taken.status and is_same(errand.dest, sample)
        return Killed(server.sent, sample.size, done, right, taken)


def _kill(start: t.Callable[[], Run], kills: int) -> int:
    """How often it was killed before it was done."""
    for count in range(kills):
        until = time.monotonic() + APART + random.uniform(0, MORE)
        with start() as run:
            while time.monotonic() < until:
                if run.has_ended:
                    run.wait()
                    return count
                time.sleep(LOOK)
            run.kill()
    return kills

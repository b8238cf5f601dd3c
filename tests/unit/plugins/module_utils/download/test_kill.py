# SPDX-License-Identifier: GPL-3.0-or-later
"""The process dies without a word, in the middle of everything."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import partial
from ansible_collections.edgellm.host.plugins.module_utils.download.source import HubFile
from ansible_collections.edgellm.host.plugins.module_utils.download.transfer import Shape

from tests.unit.file_server import Fault

# What a kill may cost; the disk is waited for much more seldom.
LOST = partial.NOTE_BYTES
SIZE = 20 * LOST
LANES = 4
PROGRAM = """
import sys
from pathlib import Path
from ansible_collections.edgellm.host.plugins.module_utils.download import board, engine, record

endpoint, dest, lanes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
# Nobody takes over from a silent lane: it is where it shall be.
board.LEAST_CHUNK, board.JUDGED_AFTER = 1, 1000
where = engine.HubFile("n/r", "x.gguf", endpoint=endpoint)
manner = engine.Manner(timeout=30, shape=engine.Shape(lanes))
engine.ensure(engine.Wanted(where, dest, record.place(dest)), manner)
"""


@pytest.fixture(scope="module")
def large():
    return b"GGUF" + random.Random(2).randbytes(SIZE)


@pytest.fixture
def start(root, dest):
    """Run the engine in a process of its own."""
    running = []

    def start(server, lanes=1):
        env = {**os.environ, "PYTHONPATH": str(root / "collections")}
        command = [sys.executable, "-c", PROGRAM, server.endpoint, str(dest), str(lanes)]
        running.append(subprocess.Popen(command, env=env))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()


def wait_until_read(process):
    """Wait until the process has taken all that was sent, and sleeps over the next read."""
    before = None
    while (now := Path(f"/proc/{process.pid}/io").read_text()) != before:
        before = now
        time.sleep(0.2)


def test_kill_costs_at_most_what_came_since_a_note(serving, start, fetch, large, dest, folder):
    server = serving(large)
    for reached in (LOST // 2, 8 * LOST + 7, 16 * LOST - 7):
        server.pause_when(reached)
        process = start(server)
        assert server.paused.wait(30)
        wait_until_read(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.resumed.set()
        assert not dest.exists()
    outcome = fetch(HubFile("n/r", "x.gguf", endpoint=server.endpoint))
    assert dest.read_bytes() == large
    assert sorted(path.name for path in folder.iterdir()) == [".x.gguf.edgellm.json", "x.gguf"]
    got = server.requests()
    assert len(got) == 4
    assert outcome.bytes_reused == got[-1].start
    twice = [first.start + first.sent - then.start for first, then in itertools.pairwise(got)]
    # And what was read last and not written yet.
    assert max(twice) <= LOST + 65536
    assert SIZE < partial.EVERY_BYTES
    # Not because nothing was lost: the kills hit between two notes.
    assert sum(twice) > 0


def test_kill_of_many_lanes_costs_no_more(serving, start, fetch, large, dest):
    server, kills = serving(large), 3
    for _kill in range(kills):
        # Most lanes are then in the middle of a chunk.
        server.faults.extend([Fault(after=LOST // 8, end="stall")] * LANES)
        process = start(server, LANES)
        deadline = time.monotonic() + 30
        while server.faults and time.monotonic() < deadline:
            time.sleep(0.05)
        wait_until_read(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not server.faults
    before = server.sent
    outcome = fetch(HubFile("n/r", "x.gguf", endpoint=server.endpoint), shape=Shape(LANES))
    assert dest.read_bytes() == large
    assert before > 0
    # What every lane had read last and not written yet, and what came since the note.
    assert before - outcome.bytes_reused <= kills * (LOST + LANES * 65536)
    assert server.sent == before + outcome.bytes_fetched

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

# What a kill may cost; the disk is waited for much more seldom.
LOST = partial.NOTE_BYTES
SIZE = 20 * LOST
PROGRAM = """
import sys
from pathlib import Path
from ansible_collections.edgellm.host.plugins.module_utils.download import engine, record

endpoint, dest = sys.argv[1], Path(sys.argv[2])
where = engine.HubFile("n/r", "x.gguf", endpoint=endpoint)
engine.ensure(engine.Wanted(where, dest, record.place(dest)), engine.Manner(timeout=30))
"""


@pytest.fixture(scope="module")
def large():
    return b"GGUF" + random.Random(2).randbytes(SIZE)


@pytest.fixture
def start(root, dest):
    """Run the engine in a process of its own."""
    running = []

    def start(server):
        env = {**os.environ, "PYTHONPATH": str(root / "collections")}
        command = [sys.executable, "-c", PROGRAM, server.endpoint, str(dest)]
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

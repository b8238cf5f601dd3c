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

CHUNK = partial.EVERY_BYTES
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
    return b"GGUF" + random.Random(2).randbytes(5 * CHUNK)


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


def test_kill_costs_at_most_one_chunk(serving, start, fetch, large, dest, folder):
    server = serving(large)
    for reached in (CHUNK // 2, 2 * CHUNK + 7, 4 * CHUNK - 7):
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
    assert max(twice) <= CHUNK
    # Not because nothing was lost: the kills hit between two notes.
    assert sum(twice) > 0

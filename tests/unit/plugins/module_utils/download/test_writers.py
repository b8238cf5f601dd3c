# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes want one file: each ends well, and no two ever write into one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    attach,
    engine,
    lock,
    partial,
    record,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.errors import Locked
from ansible_collections.edgellm.host.plugins.module_utils.download.identity import Identity
from ansible_collections.edgellm.host.plugins.module_utils.download.source import HubFile, PlainUrl

from tests.unit.file_server import COMMIT, FileServer

SIZE = 4_000_000
REACHED = 1_500_000
# What may be on its way when a writer ends or is looked at.
SLACK = partial.NOTE_BYTES + 65536
WRITING = os.O_WRONLY | os.O_RDWR
PROGRAM = """
import dataclasses, json, sys
from pathlib import Path
from ansible_collections.edgellm.host.plugins.module_utils.download import engine, record

endpoint, dest, manner = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
where = engine.HubFile("n/r", "x.gguf", endpoint=endpoint)
enter = lambda *what: print(json.dumps(what), flush=True)
manner = engine.Manner(timeout=30, enter=enter, **manner)
outcome = engine.ensure(engine.Wanted(where, dest, record.place(dest)), manner)
print(json.dumps(dataclasses.asdict(outcome)))
"""


@pytest.fixture(scope="module")
def large():
    return b"GGUF" + random.Random(3).randbytes(SIZE - 4)


@pytest.fixture
def server(serving, large) -> FileServer:
    return serving(large)


class Writer:
    """The engine in a process of its own."""

    def __init__(self, root, server, dest, manner) -> None:
        env = {**os.environ, "PYTHONPATH": str(root / "collections")}
        command = [sys.executable, "-c", PROGRAM, server.endpoint, str(dest), json.dumps(manner)]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.entered = []

    def enters(self, phase: str) -> int | None:
        """Wait until it begins with this; who does it, if that is another process."""
        while True:
            self.entered.append(json.loads(self.process.stdout.readline()))
            if self.entered[-1][0] == phase:
                return self.entered[-1][1]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def outcome(self) -> dict:
        shown, _nothing = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return json.loads(shown.splitlines()[-1])

    def written(self) -> set[int]:
        """The inodes that it has open for writing."""
        found = set()
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            info = (entry.parent.parent / "fdinfo" / entry.name).read_text()
            if int(info.split("flags:")[1].split()[0], 8) & WRITING:
                found.add(entry.stat().st_ino)
        return found


@pytest.fixture
def start(root, server, dest):
    running = []

    def start(**manner) -> Writer:
        running.append(Writer(root, server, dest, manner))
        return running[-1]

    yield start
    for writer in running:
        writer.process.kill()
        writer.process.wait()
        writer.process.stdout.close()


@pytest.fixture
def begun(start, server):
    """A writer that is in the middle of the file and hears nothing more."""

    def begun(**manner) -> Writer:
        server.pause_when(REACHED)
        writer = start(**manner)
        assert server.paused.wait(30)
        # What is on its way arrives.
        time.sleep(0.3)
        return writer

    return begun


@pytest.fixture
def finished(dest, folder, large):
    """The right file is there, and nothing else."""

    def finished() -> None:
        assert dest.read_bytes() == large
        names = sorted(path.name for path in folder.iterdir())
        assert names == [".x.gguf.edgellm.json", "x.gguf"]

    return finished


@pytest.fixture
def identity(server):
    sha256 = server.sha256
    return Identity(f"{server.endpoint}/n/r/x.gguf", SIZE, sha256, sha256, COMMIT)


# --- attach --------------------------------------------------------------------------------------


def test_second_run_waits_for_the_first(begun, start, server, finished):
    first = begun()
    second = start()
    assert second.enters("waiting") == first.pid
    server.resumed.set()
    assert (first.outcome()["attached"], second.outcome()["attached"]) == (False, True)
    assert server.sent == SIZE
    finished()


def test_who_waited_has_nothing_changed_and_reads_no_file(begun, start, server):
    first = begun()
    second = start()
    second.enters("waiting")
    server.resumed.set()
    done = second.outcome()
    assert (done["changed"], done["bytes_fetched"], done["bytes_reused"]) == (False, 0, 0)
    assert "verifying" not in [phase for phase, _pid in second.entered]
    assert first.outcome()["changed"] is True


def test_three_at_once_fetch_one_file(start, server, finished):
    writers = [start() for _writer in range(3)]
    outcomes = [writer.outcome() for writer in writers]
    assert sum(done["changed"] for done in outcomes) == 1
    assert server.sent == SIZE
    finished()


def test_who_waits_goes_on_where_a_killed_writer_was(begun, start, server, finished):
    first = begun()
    second = start()
    second.enters("waiting")
    first.signal(signal.SIGKILL)
    done = second.outcome()
    server.resumed.set()
    assert (done["changed"], done["attached"]) == (True, True)
    assert done["bytes_reused"] >= REACHED - SLACK
    assert server.sent <= SIZE + SLACK
    finished()


def test_waiting_tells_how_far_the_other_one_is(begun, server, dest, identity, large):
    first = begun()
    told = []

    def report(done):
        told.append(done)
        if len(told) == 1:
            server.resumed.set()

    assert attach.wait(dest, identity, report, most=30) is True
    assert REACHED - SLACK <= told[0] <= REACHED + SLACK
    assert first.outcome()["changed"] is True


def test_check_mode_waits_for_nobody_and_says_what_is_missing(begun, server, fetch, dest):
    begun()
    done = fetch(HubFile("n/r", "x.gguf", endpoint=server.endpoint), check_mode=True)
    assert (done.changed, done.attached) == (True, False)
    assert done.bytes_fetched + done.bytes_reused == SIZE
    assert REACHED - SLACK <= done.bytes_reused <= REACHED + SLACK


def test_waiting_is_long_work(begun, server, fetch):
    begun()
    where = HubFile("n/r", "x.gguf", endpoint=server.endpoint)
    assert fetch(where, fetch_at_most=SIZE).deferred is True


def test_another_file_for_the_same_place_is_not_waited_for(begun, server, serving, fetch, dest):
    first = begun()
    other = serving(b"GGUF" + bytes(5000))
    done = fetch(PlainUrl(other.plain))
    assert (done.changed, done.attached) == (True, False)
    # As if one run came after the other: the last one to end has what it wanted.
    server.resumed.set()
    assert first.outcome()["changed"] is True
    assert dest.stat().st_size == SIZE


# --- a partial of one's own ----------------------------------------------------------------------


def parts(folder) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.glob("*.part")}


def test_without_the_lock_file_nobody_writes_where_another_one_does(
    begun, start, server, dest, folder, finished
):
    first = begun()
    for removed in folder.glob("*.lock"):
        removed.unlink()
    done = start().outcome()
    assert (done["changed"], done["attached"]) == (True, False)
    assert done["bytes_reused"] >= REACHED - SLACK
    published = dest.stat().st_ino
    assert published not in first.written()
    server.resumed.set()
    late = first.outcome()
    assert late["changed"] is False
    assert dest.stat().st_ino == published
    finished()


def test_writer_whose_lock_was_removed_finishes(begun, server, folder, finished):
    first = begun()
    for removed in folder.glob("*.lock"):
        removed.unlink()
    time.sleep(partial.EVERY_SECONDS)
    server.resumed.set()
    assert first.outcome()["changed"] is True
    finished()


def test_writer_that_stands_still_is_left_behind_and_does_no_harm(
    begun, start, server, dest, finished
):
    first = begun()
    first.signal(signal.SIGSTOP)
    second = start(wait=1)
    assert second.enters("waiting") == first.pid
    done = second.outcome()
    assert done["changed"] is True
    # What the other one had is read from its partial.
    assert done["bytes_reused"] >= REACHED - SLACK
    published = dest.stat().st_ino
    assert published not in first.written()
    first.signal(signal.SIGCONT)
    server.resumed.set()
    late = first.outcome()
    assert (late["changed"], dest.stat().st_ino) == (False, published)
    finished()


def test_writer_on_another_host_is_not_waited_for(fetch, server, dest, folder, identity):
    held = partial.lock_of(dest, identity)
    held.write_text(json.dumps({**lock._myself(), "host": "elsewhere", "boot": "another"}))
    done = fetch(HubFile("n/r", "x.gguf", endpoint=server.endpoint))
    assert (done.changed, done.attached, server.sent) == (True, False, SIZE)
    # Whose it is, nobody can know.
    assert held.exists()


def own(dest, identity, content, *ranges) -> Path:
    """What a writer that had a partial for itself has left behind."""
    with partial.opened(dest, identity, "x", own=True) as part:
        for first, end in ranges:
            part.write(content[first:end], first)
        part.settle()
        return part.path


def test_best_of_what_dead_writers_had_is_continued(fetch, server, dest, identity, large, finished):
    with partial.opened(dest, identity, "x") as part:
        part.write(large[:1000], 0)
        part.settle()
        best = own(dest, identity, large, (0, 3_000_000))
    inode = best.stat().st_ino
    assert partial.peek(dest, identity).total == 3_000_000
    with partial.opened(dest, identity, "x") as part:
        assert (part.path, part.done) == (partial.path_of(dest, identity), 3_000_000)
        assert part.path.stat().st_ino == inode
    assert parts(dest.parent) == {partial.path_of(dest, identity).name: inode}
    done = fetch(HubFile("n/r", "x.gguf", endpoint=server.endpoint))
    assert (done.bytes_fetched, done.bytes_reused) == (SIZE - 3_000_000, 3_000_000)
    finished()


def test_partial_in_use_is_neither_continued_nor_removed(dest, identity, large):
    with partial.opened(dest, identity, "x", own=True) as mine:
        mine.write(large[:2000], 0)
        mine.checkpoint()
        with partial.opened(dest, identity, "x", own=True) as other:
            assert other.path != mine.path
        with partial.opened(dest, identity, "x") as shared:
            assert shared.done == 0
        # Not even if somebody removes its lock.
        partial.beside(mine.path)[0].unlink()
        with pytest.raises(Locked, match="whose lock was removed"):
            partial.discard(mine.path, "x")
        partial.discard_others(dest)
        assert list(parts(dest.parent)) == [mine.path.name]
        mine.write(large[2000:3000], 2000)
        mine.checkpoint()
    assert partial.peek(dest, identity).total == 3000


def test_absent_takes_every_partial_away(dest, folder, identity, large):
    with partial.opened(dest, identity, "x") as part:
        part.write(large[:10], 0)
        own(dest, identity, large, (0, 1000))
    assert len(partial.leftovers(dest)) == 2
    assert engine.remove(dest, record.place(dest), check_mode=False) is True
    assert list(folder.iterdir()) == []


def test_partial_that_somebody_removed_is_begun_anew(begun, server, folder, finished):
    first = begun()
    for removed in folder.iterdir():
        removed.unlink()
    server.resumed.set()
    assert first.outcome()["changed"] is True
    finished()


def test_file_system_that_grants_every_lock_costs_bandwidth_only(
    dest, identity, large, monkeypatch, fetch, server
):
    monkeypatch.setattr(lock, "alone", lambda _handle, **_how: True)
    with partial.opened(dest, identity, "x") as mine:
        mine.write(large[:1000], 0)
        mine.checkpoint()
        done = fetch(HubFile("n/r", "x.gguf", endpoint=server.endpoint))
        assert (done.changed, done.attached) == (True, False)
        assert dest.stat().st_ino != mine.path.stat().st_ino
        partial.beside(mine.path)[0].unlink()
        mine.write(large[1000:2000], 1000)
        # Without any lock somebody else may be at it already.
        with pytest.raises(Locked, match="Somebody removed"):
            mine.checkpoint()


def test_patience_with_a_writer_is_longer_than_its_own():
    assert [attach.patience(timeout) for timeout in (5, 60, 300)] == [120, 120, 360]

# SPDX-License-Identifier: GPL-3.0-or-later
"""Several connections at once against a server that misbehaves."""

from __future__ import annotations

import os
import random
import threading
import time

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    board,
    errors,
    patience,
    transfer,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.transfer import Shape

from tests.unit.file_server import Fault
from tests.unit.plugins.module_utils.download.test_engine import COMPLETE, KINDS, names

SIZE = 3_000_000
CHUNK = 150_000
LANES = 4


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(board, "LEAST_CHUNK", CHUNK)
    monkeypatch.setattr(board, "LEAST_TAIL", 20_000)


@pytest.fixture(autouse=True)
def no_lane_is_left_behind():
    yield
    # One that waits for an answer gives up when the server is gone.
    for thread in threading.enumerate():
        if thread.name in ("lane", "sha256"):
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def lanes(fetch):
    """Have the file there, over several lanes."""
    return lambda where, **how: fetch(where, **{"shape": Shape(LANES, CHUNK), "retries": 3, **how})


def ranges(server):
    return sorted((seen.start, seen.range) for seen in server.requests() if seen.status == 206)


def test_every_chunk_is_fetched_once(server, lanes, hub, dest, folder, content):
    outcome = lanes(hub())
    assert dest.read_bytes() == content
    assert (outcome.sha256, outcome.bytes_fetched) == (server.sha256, SIZE)
    assert names(folder) == COMPLETE
    starts = range(0, SIZE, CHUNK)
    wanted = [(first, f"bytes={first}-{first + CHUNK - 1}") for first in starts]
    wanted[-1] = (wanted[-1][0], f"bytes={wanted[-1][0]}-")
    assert ranges(server) == wanted
    assert server.sent == SIZE


def test_lanes_begin_when_the_first_answer_was_good_and_run_at_once(
    server, lanes, hub, monkeypatch
):
    # Nobody gets further than this before all are there.
    together = threading.Barrier(LANES)
    send, waited = type(server)._send, set()

    def meet(self, connection, seen, status, *rest):
        if status == 206 and seen.start < LANES * CHUNK and seen.start > 0:
            waited.add(threading.get_ident())
        elif status == 206 and seen.start == 0:
            assert not waited
        result = send(self, connection, seen, status, *rest)
        if status == 206 and seen.start < LANES * CHUNK:
            together.wait(30)
        return result

    monkeypatch.setattr(type(server), "_send", meet)
    lanes(hub())
    assert len(waited) == LANES - 1


def test_slow_lane_does_not_hold_the_end_hostage(server, lanes, hub, dest, content, monkeypatch):
    monkeypatch.setattr(board, "JUDGED_AFTER", 0.3)
    monkeypatch.setattr(transfer, "TICK", 0.05)
    server.faults.append(Fault(after=50_000, end="stall"))
    started = time.monotonic()
    outcome = lanes(hub(), timeout=60)
    assert time.monotonic() - started < 30
    assert dest.read_bytes() == content
    assert (outcome.retries, outcome.bytes_fetched) == (0, SIZE)
    assert (50_000, f"bytes=50000-{CHUNK - 1}") in ranges(server)


def test_lane_that_is_never_answered_does_not_hold_the_end_hostage(
    server, lanes, hub, dest, content, monkeypatch
):
    monkeypatch.setattr(board, "JUDGED_AFTER", 0.3)
    monkeypatch.setattr(transfer, "TICK", 0.05)
    send, lost = type(server)._send, []

    def swallow(self, connection, seen, status, *rest):
        if status == 206 and seen.start == 2 * CHUNK and not lost:
            lost.append(seen)
            self.resumed.wait()
            return False
        return send(self, connection, seen, status, *rest)

    monkeypatch.setattr(type(server), "_send", swallow)
    started = time.monotonic()
    assert lanes(hub(), timeout=60).retries == 0
    server.resumed.set()
    assert time.monotonic() - started < 30
    assert dest.read_bytes() == content
    assert len(lost) == 1


def lanes_alive():
    return [thread for thread in threading.enumerate() if thread.name == "lane"]


def test_lane_that_is_never_answered_is_woken_at_the_end(server, lanes, hub, dest, content):
    server.faults.extend([Fault(), Fault(end="mute"), Fault(), Fault(), Fault(status=404)])
    with pytest.raises(errors.Unavailable):
        lanes(hub(), timeout=100)
    deadline = time.monotonic() + 30
    while lanes_alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert lanes_alive() == []
    assert not server.resumed.is_set()


def test_line_that_breaks_for_all_counts_once(server, lanes, hub, dest, content):
    server.faults.extend([Fault(after=10, end="stall")] * LANES)
    outcome = lanes(hub(), timeout=1, retries=1)
    assert dest.read_bytes() == content
    assert outcome.retries == 1


def test_fault_that_stays_ends_everything_and_keeps_what_is_there(
    server, lanes, hub, dest, content, folder
):
    server.faults.extend([Fault(), Fault(), Fault(), Fault(status=404)])
    with pytest.raises(errors.Unavailable, match="404"):
        lanes(hub())
    assert not dest.exists()
    assert not [name for name in names(folder) if name.endswith((".lock", ".note"))]
    outcome = lanes(hub())
    assert outcome.bytes_reused + outcome.bytes_fetched == SIZE
    assert outcome.bytes_reused >= CHUNK
    assert dest.read_bytes() == content


def test_other_lanes_and_chunks_reuse_everything(server, fetch, lanes, hub, dest, content):
    server.faults.extend([Fault()] * 6 + [Fault(status=404)])
    with pytest.raises(errors.Unavailable):
        lanes(hub())
    foreseen = lanes(hub(), check_mode=True)
    outcome = fetch(hub(), shape=Shape(2, 333_333))
    assert (foreseen.bytes_fetched, foreseen.bytes_reused) == (
        outcome.bytes_fetched,
        outcome.bytes_reused,
    )
    assert outcome.bytes_reused + outcome.bytes_fetched == SIZE
    assert dest.read_bytes() == content


def test_server_without_ranges_gives_one_stream(server, lanes, hub, dest, content):
    server.ranges = False
    lanes(hub())
    assert dest.read_bytes() == content
    assert [seen.range for seen in server.requests()] == [f"bytes=0-{CHUNK - 1}"] * 2 + [None]


def test_server_that_loses_its_ranges_midway_gives_one_stream(server, lanes, hub, dest, content):
    server.faults.extend([Fault()] * 5 + [Fault(ignore_range=True)] * 20)
    outcome = lanes(hub(), retries=3)
    assert dest.read_bytes() == content
    assert outcome.bytes_reused == 0
    assert server.requests()[-1].range is None


def test_parts_that_are_always_wrong_end_in_one_stream(server, lanes, hub, dest, content):
    server.faults.extend([Fault(shift=7)] * 2)
    lanes(hub())
    assert dest.read_bytes() == content
    assert server.requests()[-1].range is None


def test_links_that_expire_are_resolved_again(server, lanes, hub, dest, content):
    server.faults.extend([Fault(), Fault(status=403), Fault()])
    assert lanes(hub()).retries == 1
    assert dest.read_bytes() == content


def test_links_that_expire_all_at_once_cost_one_retry(
    server, lanes, hub, dest, content, monkeypatch
):
    # Nobody is refused before all have asked.
    together = threading.Barrier(LANES)
    send = type(server)._send

    def meet(self, connection, seen, status, *rest):
        if status == 403:
            together.wait(30)
        return send(self, connection, seen, status, *rest)

    monkeypatch.setattr(type(server), "_send", meet)
    server.faults.extend([Fault(), *[Fault(status=403)] * LANES])
    assert lanes(hub()).retries == 1
    assert dest.read_bytes() == content
    refused = [seen for seen in server.requests() if seen.status == 403]
    assert len(refused) == LANES


def test_links_that_are_refused_again_leave_one_lane(server, lanes, hub, dest, content):
    server.faults.extend([Fault(status=403)] * 2)
    lanes(hub())
    assert dest.read_bytes() == content
    firsts = [seen.start for seen in server.requests() if seen.status == 206]
    assert firsts == sorted(firsts)


def test_busy_server_is_left_alone_as_long_as_it_wants(
    server, lanes, hub, dest, content, monkeypatch
):
    server.faults.append(Fault(status=429, headers={"Retry-After": "1"}))
    started = time.monotonic()
    assert lanes(hub()).retries == 1
    assert time.monotonic() - started >= 1
    assert dest.read_bytes() == content


def test_file_that_nothing_could_prove_has_one_lane(server, lanes, plain, dest, content):
    server.etag = None
    lanes(plain())
    assert dest.read_bytes() == content
    assert [seen.range for seen in server.requests()] == [None]


def test_parts_of_two_versions_never_make_one_file(server, lanes, plain, dest):
    new = b"GGUF" + os.urandom(SIZE - 4)

    class Changing(type(server.faults)):
        def popleft(self):
            fault = super().popleft()
            if not self:
                server.content, server.etag = new, '"two"'
            return fault

    server.faults = Changing([Fault()] * 6)
    outcome = lanes(plain())
    assert dest.read_bytes() == new
    assert outcome.sha256 == server.sha256


def test_parts_of_two_versions_that_only_the_hash_tells_apart_are_fetched_again(
    server, lanes, hub, dest
):
    new = b"GGUF" + os.urandom(SIZE - 4)
    server.honours_if_range = False
    server.faults.extend([*[Fault()] * 6, Fault(turn=(new, '"two"'))])
    outcome = lanes(hub())
    assert dest.read_bytes() == new
    assert outcome.sha256 == server.sha256


def test_rate_is_limited_over_all_lanes(lanes, hub, dest, content):
    started = time.monotonic()
    lanes(hub(), shape=Shape(LANES, CHUNK, max_rate=2_000_000))
    assert 1.0 < time.monotonic() - started < 20
    assert dest.read_bytes() == content


def test_full_disk_ends_all_lanes(lanes, hub, dest, content, monkeypatch):
    pwrite = os.pwrite

    def full(handle, data, offset):
        if offset >= SIZE // 2 and len(data) > 1000:
            raise OSError(28, "No space left on device")
        return pwrite(handle, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(errors.DownloadError, match="is full"):
            lanes(hub())
    outcome = lanes(hub())
    assert outcome.bytes_reused > 0
    assert dest.read_bytes() == content


def test_interrupt_ends_all_lanes(server, lanes, hub, dest):
    def interrupt(done, _total, _fetched):
        if done > CHUNK:
            raise KeyboardInterrupt

    server.faults.extend([Fault(), *[Fault(after=CHUNK // 2, end="stall")] * LANES])
    with pytest.raises(KeyboardInterrupt):
        lanes(hub(), report=interrupt, timeout=60)
    assert not dest.exists()
    outcome = lanes(hub())
    assert outcome.bytes_reused >= CHUNK


@pytest.mark.parametrize("seed", range(20))
def test_any_sequence_of_passing_faults_ends_with_the_right_file(
    server, lanes, hub, dest, folder, content, seed, monkeypatch
):
    monkeypatch.setattr(patience, "LONGEST_SECONDS", 0.0)
    monkeypatch.setattr(board, "JUDGED_AFTER", 0.2)
    monkeypatch.setattr(transfer, "TICK", 0.02)
    chance = random.Random(seed)
    faults = [KINDS[chance.choice(list(KINDS))](chance, CHUNK) for _ in range(8)]
    faults += [Fault()] * chance.randrange(8)
    chance.shuffle(faults)
    server.faults.extend(faults)
    lanes(hub(), timeout=0.5, retries=8)
    assert dest.read_bytes() == content, faults
    assert names(folder) == COMPLETE, faults

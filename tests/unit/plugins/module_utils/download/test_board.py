# SPDX-License-Identifier: GPL-3.0-or-later
"""Every byte is fetched once by somebody, whatever the lanes do."""

from __future__ import annotations

import random

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import board
from ansible_collections.edgellm.host.plugins.module_utils.download.board import (
    Board,
    chunk_size,
    handed_over,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.spans import Spans

MIB = 1024 * 1024
LATER = board.JUDGED_AFTER


def even(size):
    return lambda _left: size


def fetched(desk, job, count, now):
    count = desk.claim(job, count, now)
    desk.wrote(job)
    return count


@pytest.mark.parametrize(
    ("missing", "lanes", "wanted", "size"),
    [
        (5000 * MIB, 8, 64 * MIB, 64 * MIB),
        (1024 * MIB, 8, 64 * MIB, 64 * MIB),
        (512 * MIB, 8, 64 * MIB, 32 * MIB),
        (100 * MIB, 8, 64 * MIB, 8 * MIB),
        (5000 * MIB, 8, 1 * MIB, 1 * MIB),
    ],
)
def test_chunks_are_so_large(missing, lanes, wanted, size):
    assert chunk_size(missing, lanes, wanted) == size


def test_every_chunk_is_cut_for_what_is_then_left():
    asked = []

    def chunk(left):
        asked.append(left)
        return 10 if left > 15 else 5

    desk = Board([(3, 25), (31, 40)], chunk)
    taken = []
    while job := desk.take(0):
        taken.append((job.first, job.end))
    assert taken == [(3, 13), (13, 23), (23, 25), (31, 36), (36, 40)]
    assert asked == [31, 21, 11, 9, 4]


def test_little_is_in_the_air_at_the_end():
    size, lanes = 5000 * MIB, 8
    desk = Board([(0, size)], lambda left: chunk_size(left, lanes))
    lengths = []
    while job := desk.take(0):
        lengths.append(job.end - job.first)
    assert sum(lengths) == size
    assert max(lengths) == lengths[0] == board.CHUNK
    assert max(lengths[-lanes:]) == board.LEAST_CHUNK
    # Every one is a request that the source counts.
    assert len(lengths) < 3 * size / board.CHUNK


def test_what_was_not_written_is_open_again_before_the_rest():
    desk = Board([(0, 20)], even(10))
    job = desk.take(0)
    fetched(desk, job, 4, 0)
    # Claimed and never written.
    desk.claim(job, 3, 0)
    desk.end(job)
    again = desk.take(0)
    assert (again.first, again.end) == (4, 10)


def test_nothing_behind_the_end_can_be_claimed():
    desk = Board([(0, 20)], even(10))
    job = desk.take(0)
    assert fetched(desk, job, 15, 0) == 10
    assert (job.rest, job.received) == (0, 15)


@pytest.mark.parametrize(
    ("rest", "holder", "idle", "tail"),
    [
        # Almost done.
        (MIB, 2 * MIB, 100 * MIB, 0),
        # Equals share.
        (10 * MIB, MIB, MIB, 5 * MIB),
        # The faster one takes more.
        (10 * MIB, MIB, 4 * MIB, 8 * MIB),
        # What would be left is not worth it.
        (10 * MIB, MIB, 99 * MIB, 10 * MIB),
        (1000, 100, 1000, 1000),
        # It would take as long.
        (1000, 100, 100, 0),
        # What could be taken is not worth it.
        (10 * MIB, 4 * MIB, MIB // 4, 0),
        # It stands still.
        (10 * MIB, 0, MIB, 10 * MIB),
        (10 * MIB, 0, 0, 10 * MIB),
    ],
)
def test_share_of_an_idle_lane(rest, holder, idle, tail):
    assert handed_over(rest, holder, idle) == tail


def test_end_of_a_slow_job_is_taken_over():
    desk = Board([(0, 10 * MIB)], even(10 * MIB))
    slow = desk.take(0)
    fetched(desk, slow, 2 * MIB, LATER)
    assert desk.relieve(LATER - 1, MIB) is None
    relief, cut = desk.relieve(LATER, 2 * MIB / LATER)
    assert (cut, cut.void) == (slow, False)
    assert (slow.end, relief.first, relief.end) == (6 * MIB, 6 * MIB, 10 * MIB)
    # What is claimed is no longer anybody else's.
    assert fetched(desk, slow, 10 * MIB, LATER) == 4 * MIB


def test_all_of_a_silent_job_is_taken_over_and_ever_more_seldom():
    desk = Board([(0, 10 * MIB)], even(10 * MIB))
    job = desk.take(0)
    fetched(desk, job, MIB, 0)
    now = 0.0
    for moves in range(4):
        pause = LATER * 2**moves
        assert desk.relieve(now + pause - 0.1, MIB) is None
        now += pause
        relief, before = desk.relieve(now, MIB)
        assert (before, before.void, relief.first) == (job, True, MIB)
        # Whatever comes late does not count.
        assert fetched(desk, before, 1000, now) == 0
        desk.end(before)
        job = relief
    fetched(desk, job, 9 * MIB, now)
    desk.end(job)
    assert desk.is_done


def test_stopping_waits_for_those_who_write():
    desk = Board([(0, 100)], even(100))
    job = desk.take(0)
    desk.claim(job, 10, 0)
    assert desk.stop(0.01) is False
    desk.wrote(job)
    assert desk.stop(0.01) is True
    assert desk.claim(job, 10, 0) == 0


def test_what_could_not_be_written_is_not_waited_for_and_open_again():
    desk = Board([(0, 100)], even(100))
    job = desk.take(0)
    fetched(desk, job, 5, 0)
    desk.claim(job, 10, 0)
    desk.failed(job)
    assert desk.stop(0.01) is True
    desk.end(job)
    assert desk.take(0).first == 5


@pytest.mark.parametrize("seed", range(30))
def test_every_byte_is_written_once(seed, monkeypatch):
    chance = random.Random(seed)
    monkeypatch.setattr(board, "LEAST_TAIL", 5)
    size, now = 2000, 0.0
    there = Spans(sorted(chance.sample(range(size), 2)) for _ in range(3))
    missing = there.missing(size)
    desk, idle, count = (
        Board(missing, even(chance.choice([7, 100, 5000]))),
        chance.randrange(1, 6),
        0,
    )
    while not desk.is_done:
        now += chance.random() * 3
        for _ in range(idle - len(desk.jobs)):
            if desk.take(now) is None:
                desk.relieve(now, chance.choice([0, 1, 10, 100]))
        for job in desk.jobs:
            step = chance.random()
            if step < 0.7:
                first = job.claimed
                end = first + desk.claim(job, chance.randrange(1, 50), now)
                assert first == end or not any(first < b and a < end for a, b in there.ranges)
                if step < 0.6:
                    desk.wrote(job)
                    there.add(first, end)
                    count += end - first
                else:
                    desk.end(job)
            elif step < 0.8 or not job.rest or job.void:
                desk.end(job)
    assert there.ranges == ((0, size),)
    assert count == sum(end - first for first, end in missing)

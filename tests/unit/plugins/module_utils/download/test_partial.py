# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an unfinished file counts after its writer was gone without a word."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    lock,
    partial,
    pieces,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.identity import Identity
from ansible_collections.edgellm.host.plugins.module_utils.download.spans import Spans

SIZE = 200_000
CONTENT = random.Random(5).randbytes(SIZE)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
IDENTITY = Identity("n/r/x.gguf", SIZE, SHA256, SHA256)


@pytest.fixture
def each_write_noted(monkeypatch):
    monkeypatch.setattr(partial, "NOTE_BYTES", 1)


@pytest.fixture
def left(dest):
    """What a killed writer would have left behind after these writes."""

    def left(*ranges, identity=IDENTITY):
        with partial.opened(dest, identity, "x") as part:
            for first, end in ranges:
                part.write(CONTENT[first:end], first)
            names = {path.name: path.read_bytes() for path in dest.parent.iterdir()}
            inode = part.path.stat().st_ino
        for name, content in names.items():
            if not name.endswith(".lock"):
                (dest.parent / name).write_bytes(content)
        assert part.path.stat().st_ino == inode
        return part.path

    return left


@pytest.mark.parametrize("seed", range(10))
def test_whatever_was_written_where_is_reused_and_proved(left, dest, each_write_noted, seed):
    chance = random.Random(seed)
    ranges = [sorted(chance.sample(range(SIZE), 2)) for _ in range(5)]
    left(*ranges)
    there = Spans(ranges)
    assert partial.peek(dest, IDENTITY).ranges == there.ranges
    with partial.opened(dest, IDENTITY, "x") as part:
        assert (part.reused, part.missing()) == (there.total, there.missing(SIZE))
        for first, end in part.missing():
            part.write(CONTENT[first:end], first)
        assert (part.done, part.missing(), part.digest()) == (SIZE, [], SHA256)


def test_power_failure_costs_what_was_not_made_durable(left, dest, each_write_noted, monkeypatch):
    monkeypatch.setattr(partial, "EVERY_BYTES", 50_000)
    left((0, 50_000), (80_000, 90_000))
    assert partial.peek(dest, IDENTITY).ranges == ((0, 50_000), (80_000, 90_000))
    (dest.parent / "boot").write_text("the next one")
    monkeypatch.setattr(lock, "_BOOT", dest.parent / "boot")
    assert partial.peek(dest, IDENTITY).ranges == ((0, 50_000),)


def test_what_no_hash_will_prove_counts_only_when_durable(left, dest, each_write_noted):
    identity = Identity("http://x/y", SIZE, None, '"one"')
    left((0, 50_000), identity=identity)
    assert partial.peek(dest, identity).total == 0


def test_end_without_a_kill_leaves_no_note(dest):
    def fail(part):
        part.write(CONTENT[:1000], 0)
        raise RuntimeError(part.path)

    with pytest.raises(RuntimeError) as caught, partial.opened(dest, IDENTITY, "x") as part:
        fail(part)
    assert sorted(path.name for path in dest.parent.iterdir()) == [
        caught.value.args[0].name,
        f"{caught.value.args[0].name}.json",
    ]
    assert partial.peek(dest, IDENTITY).total == 1000


def test_odd_journal_is_told(left, dest):
    part = left((0, 1000))
    partial.beside(part)[1].write_text("{}")
    found = partial.peek(dest, IDENTITY)
    assert found.total == 0
    assert "not a journal of version 2. What was fetched before is not used." in found.odd


def test_file_shorter_than_its_journal_is_told(left, dest, each_write_noted):
    os.truncate(left((0, 1000)), 999)
    assert "shorter than its journal says" in partial.peek(dest, IDENTITY).odd


def test_what_is_forgotten_is_fetched_and_hashed_again(dest):
    with partial.opened(dest, IDENTITY, "x") as part:
        part.write(bytes(SIZE), 0)
        part.forget(1000, SIZE)
        assert part.missing() == [(1000, SIZE)]
        part.forget(0, 10)
        part.write(CONTENT[1000:], 1000)
        part.write(CONTENT[:1000], 0)
        assert part.digest() == SHA256


def test_old_journal_is_gone_for_good_before_anything_is_written_again(dest, monkeypatch):
    steps = []
    fsync = os.fsync

    def note(handle):
        there = any(path.name.endswith(".part.json") for path in dest.parent.iterdir())
        steps.append((Path(f"/proc/self/fd/{handle}").readlink().name, there))
        fsync(handle)

    with partial.opened(dest, IDENTITY, "x") as part:
        part.write(bytes(1000), 0)
        part.checkpoint()
        monkeypatch.setattr(os, "fsync", note)
        part.forget(0, 500)
    assert steps[0] == ("models", False)
    assert steps[1][0].endswith(".part.json.new")


def test_rewound_file_has_nothing_left(dest):
    with partial.opened(dest, IDENTITY, "x") as part:
        part.write(bytes(1000), 0)
        part.rewind()
        assert (part.done, part.path.stat().st_size) == (0, 0)
        assert partial.peek(dest, IDENTITY).total == 0


def test_many_writers_at_once_make_one_file(dest, monkeypatch):
    monkeypatch.setattr(partial, "EVERY_BYTES", 20_000)
    monkeypatch.setattr(partial, "NOTE_BYTES", 1000)
    step = 500

    def write(part, lane):
        for first in range(lane * step, SIZE, 8 * step):
            part.write(CONTENT[first : first + step], first)

    with partial.opened(dest, IDENTITY, "x") as part:
        lanes = [threading.Thread(target=write, args=(part, lane)) for lane in range(8)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        assert (part.done, part.digest()) == (SIZE, SHA256)


@pytest.mark.parametrize("last", [0, 1, 5])
def test_pieces_are_hashed_on_the_way(dest, monkeypatch, last):
    monkeypatch.setattr(pieces, "PIECE", 40_000)
    content = CONTENT[: 80_000 + last]
    digest = hashlib.sha256(content).hexdigest()
    with partial.opened(dest, Identity("x", len(content), digest, digest), "x") as part:
        part.write(content[1000:], 1000)
        part.write(content[:1000], 0)
        assert part.digest() == digest
        starts = range(0, len(content), 40_000)
        wanted = [hashlib.sha256(content[at : at + 40_000]).hexdigest() for at in starts]
        assert part.pieces() == wanted

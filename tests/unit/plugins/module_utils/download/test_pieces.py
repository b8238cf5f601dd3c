# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a complete file is damaged, and what that costs."""

from __future__ import annotations

import hashlib
import json
import os
import random

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import engine, pieces, record
from ansible_collections.edgellm.host.plugins.module_utils.download.pieces import Pieces

SIZE = 3_000_000
LENGTH = 262_144


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", LENGTH)
    monkeypatch.setattr(Pieces.__init__, "__defaults__", (LENGTH,))


def noted(content, length):
    hashes = [
        hashlib.sha256(content[at : at + length]).hexdigest()
        for at in range(0, len(content), length)
    ]
    return Pieces(len(content), hashlib.sha256(content).hexdigest(), tuple(hashes), length)


@pytest.mark.parametrize("seed", range(10))
def test_damage_is_located(tmp_path, seed):
    chance = random.Random(seed)
    content = bytearray(chance.randbytes(chance.randrange(1, 5000)))
    known = noted(content, chance.randrange(1, 800))
    places = {chance.randrange(len(content)) for _ in range(chance.randrange(4))}
    for place in places:
        content[place] ^= 1
    path = tmp_path / "x"
    path.write_bytes(content)
    bad = [pair for pair in known.ranges if any(pair[0] <= at < pair[1] for at in places)]
    assert pieces.sound(path, known) == [pair for pair in known.ranges if pair not in bad]


def test_what_is_missing_at_the_end_is_not_sound(tmp_path):
    known = noted(bytes(1000), 300)
    path = tmp_path / "x"
    path.write_bytes(bytes(650))
    assert pieces.sound(path, known) == [(0, 300), (300, 600)]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: {**said, "pieces": 2},
        lambda said: {**said, "size": 3001},
        lambda said: {**said, "size": "3000"},
        lambda said: {**said, "length": 0},
        lambda said: {**said, "hashes": said["hashes"][1:]},
        lambda said: {**said, "hashes": [*said["hashes"][1:], "x"]},
        lambda said: {**said, "sha256": None},
        lambda said: {**said, "more": 1},
        lambda said: [said],
    ],
)
def test_only_what_was_written_is_read(tmp_path, change):
    path, known = tmp_path / "x", noted(bytes(3000), 300)
    assert pieces.read(path) is None
    pieces.write(path, known)
    assert pieces.read(path) == known
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert pieces.read(path) is None


def test_damaged_file_costs_the_damaged_pieces(server, fetch, hub, dest, content, short):
    fetch(hub())
    kept = dest.open("rb")
    bad = bytearray(content)
    bad[LENGTH + 5] ^= 1
    bad[-1] ^= 1
    dest.write_bytes(bad)
    damage = LENGTH + SIZE % LENGTH
    foreseen = fetch(hub(), check_mode=True)
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (damage, SIZE - damage)
    assert (foreseen.bytes_fetched, foreseen.bytes_reused) == (damage, SIZE - damage)
    # Whoever has the damaged one open or linked keeps it as it is.
    with kept:
        assert kept.read() == bad


def test_pieces_of_another_version_say_nothing(server, fetch, hub, dest, short):
    fetch(hub())
    old = server.content
    server.content = old[:-1] + b"!"
    assert fetch(hub(revision="v2")).bytes_reused == 0
    assert dest.read_bytes() == server.content


def test_pieces_go_with_the_file(fetch, hub, dest, folder, short):
    fetch(hub())
    remembered = record.place(dest)
    assert pieces.place(remembered).name == ".x.gguf.edgellm.pieces.json"
    assert pieces.place(remembered).exists()
    engine.remove(dest, remembered, check_mode=False)
    assert list(folder.iterdir()) == []


def test_file_of_one_piece_needs_none(fetch, hub, folder):
    fetch(hub())
    assert not list(folder.glob("*.pieces.json"))


# --- damage that nobody sees ---------------------------------------------------------------------


def damage(dest, *places):
    """Change bytes in the same inode, with size and times as they were."""
    found = dest.stat()
    with dest.open("r+b") as stream:
        for place in places:
            stream.seek(place)
            byte = stream.read(1)[0]
            stream.seek(place)
            stream.write(bytes([byte ^ 1]))
    os.utime(dest, ns=(found.st_atime_ns, found.st_mtime_ns))


def counted(monkeypatch):
    """The files that are read as a whole from now on."""
    hashed = []
    real = engine.sha256_of
    monkeypatch.setattr(
        engine, "sha256_of", lambda path, *more: hashed.append(path) or real(path, *more)
    )
    return hashed


def untouched(path):
    """What changes with every write to the inode, or with another inode."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


@pytest.mark.parametrize("kind", ["hub", "plain"])
def test_hidden_damage_is_found_and_mended_on_request(
    server, fetch, request, kind, dest, content, short, tmp_path
):
    where = request.getfixturevalue(kind)
    fetch(where())
    stored = tmp_path / "stored"
    os.link(dest, stored)
    damage(dest, LENGTH + 5, SIZE - 1)
    bad, inode = dest.read_bytes(), dest.stat().st_ino
    server.seen.clear()
    assert (fetch(where()).changed, server.seen) == (False, [])
    lost = LENGTH + SIZE % LENGTH
    foreseen = fetch(where(), verify="always", check_mode=True)
    assert (foreseen.changed, foreseen.bytes_fetched, foreseen.bytes_reused) == (
        True,
        lost,
        SIZE - lost,
    )
    outcome = fetch(where(), verify="always")
    assert (outcome.changed, outcome.bytes_fetched, outcome.bytes_reused) == (
        True,
        lost,
        SIZE - lost,
    )
    assert server.sent == lost
    assert dest.read_bytes() == content
    # What is linked into a store is not written to.
    assert (stored.read_bytes(), stored.stat().st_ino) == (bad, inode)
    assert dest.stat().st_ino != inode
    assert fetch(where(), verify="always").changed is False


@pytest.mark.parametrize("kind", ["hub", "plain"])
def test_hidden_damage_without_the_pieces_costs_the_whole(
    server, fetch, request, kind, dest, content, short
):
    where = request.getfixturevalue(kind)
    fetch(where())
    pieces.place(record.place(dest)).unlink()
    damage(dest, 1)
    assert fetch(where(), verify="always", check_mode=True).bytes_fetched == SIZE
    outcome = fetch(where(), verify="always")
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (SIZE, 0)
    assert dest.read_bytes() == content


def test_whole_file_is_read_and_nobody_asked_on_request(server, fetch, hub, dest, monkeypatch):
    fetch(hub())
    server.seen.clear()
    hashed = counted(monkeypatch)
    before = untouched(dest)
    assert fetch(hub(), verify="always").changed is False
    assert (hashed, server.seen) == ([dest], [])
    assert untouched(dest) == before


def test_other_time_of_a_linked_file_costs_one_hash_and_no_new_inode(
    server, fetch, hub, dest, tmp_path, monkeypatch
):
    fetch(hub())
    stored = tmp_path / "stored"
    os.link(dest, stored)
    # Servers touch what they use again.
    os.utime(stored)
    server.seen.clear()
    hashed = counted(monkeypatch)
    before = untouched(dest)
    assert [fetch(hub()).changed, fetch(hub()).changed] == [False, False]
    assert (hashed, server.seen) == ([dest], [])
    assert (untouched(dest), dest.stat().st_nlink) == (before, 2)
    assert record.read(record.place(dest)).mtime_ns == dest.stat().st_mtime_ns


def test_other_time_at_another_address_costs_one_hash(server, fetch, plain, dest):
    fetch(plain())
    os.utime(dest)
    server.seen.clear()
    signed = engine.dataclasses.replace(plain(), url=f"{server.plain}?Signature=new")
    assert fetch(signed).changed is False
    assert server.sent == 0

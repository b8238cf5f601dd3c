# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a complete file is damaged, and what that costs."""

from __future__ import annotations

import hashlib
import json
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

# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written comes back, and nothing else counts."""

from __future__ import annotations

import dataclasses
import json
import os
import random

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import journal, lock
from ansible_collections.edgellm.host.plugins.module_utils.download.identity import Identity
from ansible_collections.edgellm.host.plugins.module_utils.download.journal import Entry
from ansible_collections.edgellm.host.plugins.module_utils.download.spans import Spans

PROVABLE = Identity("n/r/x.gguf", 1000, "ab" * 32, "ab" * 32, "c" * 40)
UNPROVABLE = Identity("http://x/y", 1000, None, '"one"')
INODE = 17


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.part.json"


@pytest.fixture
def note_path(tmp_path):
    return tmp_path / "x.part.note"


def some_ranges(chance):
    spans = Spans()
    for _ in range(chance.randrange(6)):
        spans.add(*sorted(chance.choices(range(1001), k=2)))
    return spans.ranges


@pytest.mark.parametrize("seed", range(10))
def test_what_is_written_comes_back(path, note_path, seed):
    chance = random.Random(seed)
    entry = Entry(chance.choice([PROVABLE, UNPROVABLE]), some_ranges(chance), '"e"')
    journal.write(path, entry)
    assert journal.read(path) == entry
    note = journal.Note(note_path, PROVABLE, INODE)
    for _ in range(5):
        ranges = some_ranges(chance)
        note.write(ranges, None)
        assert journal.read_note(note_path, PROVABLE, INODE).ranges == ranges
    note.close()


def test_nothing_there_says_nothing(path, note_path):
    assert journal.read(path) is None
    assert journal.read_note(note_path, PROVABLE, INODE) is None


def test_journal_of_the_first_version_is_a_beginning(path):
    said = {
        "journal": 1,
        "identity": dataclasses.asdict(PROVABLE),
        "ranges": [[0, 300]],
        "etag": None,
    }
    path.write_text(json.dumps(said))
    assert journal.read(path) == Entry(PROVABLE, ((0, 300),))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _said: None, "not a journal"),
        (lambda said: {**said, "journal": 3}, "not a journal of version 2"),
        (lambda said: {**said, "identity": None}, "identity must have commit, sha256"),
        (lambda said: {**said, "identity": {**said["identity"], "more": 1}}, "identity must have"),
        (lambda said: {**said, "identity": {**said["identity"], "size": "9"}}, "size '9'"),
        (lambda said: {**said, "identity": {**said["identity"], "size": True}}, "size True"),
        (lambda said: {**said, "identity": {**said["identity"], "source": None}}, "must be text"),
        (lambda said: {**said, "etag": 5}, "must be text"),
        (lambda said: {**said, "ranges": [[0, 1001]]}, "within 1000 bytes"),
        (lambda said: {**said, "ranges": 5}, "ascending"),
    ],
)
def test_anything_odd_is_not_resumable_and_says_why(path, change, said):
    journal.write(path, Entry(PROVABLE, ((0, 10), (20, 30))))
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(journal.Odd, match=said):
        journal.read(path)


def test_journal_that_breaks_off_anywhere_is_odd(path):
    journal.write(path, Entry(PROVABLE, ((0, 10), (20, 30))))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(journal.Odd):
            journal.read(path)


def test_note_that_breaks_off_anywhere_says_the_old_thing_or_nothing(note_path):
    note = journal.Note(note_path, PROVABLE, INODE)
    note.write(((0, 7), (20, 30), (500, 510)), None)
    old = note_path.read_bytes()
    note.write(((0, 8), (20, 31)), None)
    note.close()
    new = note_path.read_bytes()
    assert len(new) == len(old)
    expected = {None, ((0, 7), (20, 30), (500, 510)), ((0, 8), (20, 31))}
    found = set()
    for length in range(len(new)):
        note_path.write_bytes(new[:length] + old[length:])
        entry = journal.read_note(note_path, PROVABLE, INODE)
        found.add(entry and entry.ranges)
    assert found == expected


@pytest.mark.parametrize(
    ("identity", "inode"),
    [
        (dataclasses.replace(PROVABLE, sha256="cd" * 32), INODE),
        (dataclasses.replace(PROVABLE, size=999), INODE),
        (PROVABLE, INODE + 1),
        (UNPROVABLE, INODE),
    ],
)
def test_note_of_another_file_or_one_no_hash_will_prove_does_not_count(note_path, identity, inode):
    note = journal.Note(note_path, PROVABLE, INODE)
    note.write(((0, 7),), None)
    note.close()
    assert journal.read_note(note_path, PROVABLE, INODE).ranges == ((0, 7),)
    assert journal.read_note(note_path, identity, inode) is None


def test_note_does_not_outlive_the_running_machine(note_path, monkeypatch, tmp_path):
    note = journal.Note(note_path, PROVABLE, INODE)
    note.write(((0, 7),), None)
    note.close()
    (tmp_path / "boot").write_text("another one\n")
    monkeypatch.setattr(lock, "_BOOT", tmp_path / "boot")
    assert journal.read_note(note_path, PROVABLE, INODE) is None


def test_note_does_not_count_where_nobody_tells_one_start_from_another(
    note_path, monkeypatch, tmp_path
):
    monkeypatch.setattr(lock, "_BOOT", tmp_path / "none")
    note = journal.Note(note_path, PROVABLE, INODE)
    note.write(((0, 7),), None)
    note.close()
    assert journal.read_note(note_path, PROVABLE, INODE) is None


def test_both_together_are_all_that_is_there():
    entry = Entry(PROVABLE, ((0, 10), (50, 60)), '"old"')
    assert journal.merged(entry, None) is entry
    both = journal.merged(entry, Entry(PROVABLE, ((5, 20), (60, 70)), '"new"'))
    assert both == Entry(PROVABLE, ((0, 20), (50, 70)), '"new"')


def test_journal_that_cannot_be_written_leaves_the_old_one_alone(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    old = journal.Entry(Identity("x", 10, "aa" * 32), ((0, 5),))
    journal.write(path, old)

    def full(_handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            journal.write(path, journal.Entry(old.identity, ((0, 9),)))
    assert journal.read(path) == old
    assert list(tmp_path.iterdir()) == [path]

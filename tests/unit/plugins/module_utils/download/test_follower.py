# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import concurrent.futures
import hashlib
import os

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download.follower import (
    PIECE,
    Follower,
    sha256_of,
)

CONTENT = os.urandom(3 * PIECE + 17)


def test_growing_file_is_hashed_as_the_whole(tmp_path):
    path = tmp_path / "x"
    with path.open("wb", buffering=0) as stream:
        follower = Follower(path)
        for offset in range(0, len(CONTENT), 700_001):
            stream.write(CONTENT[offset : offset + 700_001])
            follower.extend(stream.tell())
        assert follower.digest() == hashlib.sha256(CONTENT).hexdigest() == sha256_of(path)
    follower.close()


def test_only_what_is_said_to_be_written_counts(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    follower = Follower(path)
    follower.extend(PIECE + 5)
    assert follower.digest() == hashlib.sha256(CONTENT[: PIECE + 5]).hexdigest()


def test_file_that_became_shorter_is_told(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENT[:100])
    follower = Follower(path)
    follower.extend(101)
    with pytest.raises(OSError, match="shorter"):
        follower.digest()


def test_closing_waits_for_nothing(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    follower = Follower(path)
    follower.extend(len(CONTENT))
    follower.close()
    follower.close()
    assert follower._thread.is_alive() is False


def test_whatever_stops_the_hash_is_told(tmp_path, monkeypatch):
    def refuse(*_args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", refuse)
    path = tmp_path / "x"
    path.write_bytes(CONTENT)
    follower = Follower(path)
    follower.extend(len(CONTENT))
    with pytest.raises(RuntimeError, match="new thread"):
        follower.digest()

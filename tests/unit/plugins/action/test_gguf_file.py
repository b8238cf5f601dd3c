# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks over a local connection: what is shown, what is returned, what is left behind."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest

from tests.unit.file_server import Fault, FileServer

LARGE = b"GGUF" + os.urandom(24_000_000)


@pytest.fixture
def server():
    with FileServer(LARGE).running() as server:
        yield server


@pytest.fixture
def dest(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / "x.gguf"


@pytest.fixture
def play(play_task, server, dest):
    def play(**how):
        wish = {"repo": "n/r", "file": "x.gguf", "endpoint": server.endpoint, "dest": str(dest)}
        params = {key: how.pop(key) for key in list(how) if key not in ("check_mode", "jobs")}
        return play_task("gguf_file", {**wish, **params}, **how)

    return play


def resume_later(server) -> None:
    """Long after the silence began, however long it took a busy machine to get there."""
    server.paused.wait(60)
    time.sleep(9)
    server.resumed.set()


def test_large_file_shows_progress_and_returns_the_modules_own_result(
    play, server, dest, left_behind, run_module, tmp_path
):
    # Slow enough for some lines: it is silent for a while in the middle, and there is no other
    # lane to take over.
    server.pause_when(12_000_000)
    waiting = threading.Thread(target=resume_later, args=(server,))
    waiting.start()
    result, shown = play(lanes=1)
    waiting.join()
    assert dest.read_bytes() == LARGE
    assert result["changed"] is True
    assert "box: x.gguf  " in shown
    assert " MB of 24.0 MB (" in shown
    assert left_behind() == []
    own = run_module(
        "gguf_file",
        repo="n/r",
        file="x.gguf",
        endpoint=server.endpoint,
        dest=str(tmp_path / "own.gguf"),
    )
    # What modules warned of earlier in this process stays with it.
    assert set(result) - {"failed"} == set(own) - {"invocation", "warnings"}
    for key in ("diff", "sha256", "size", "commit", "bytes_fetched", "bytes_reused"):
        assert result[key] == own[key]


def test_file_that_is_there_costs_one_run_and_one_hash(play, server, dest):
    dest.write_bytes(LARGE)
    result, _shown = play()
    assert (result["changed"], len(server.seen)) == (False, 1)
    # Not in check mode: what was hashed is written down.
    result, _shown = play()
    assert (result["changed"], len(server.seen)) == (False, 1)


def test_check_mode_says_the_bytes_and_fetches_nothing(play, server, dest, left_behind):
    result, shown = play(check_mode=True)
    assert (result["changed"], result["bytes_fetched"]) == (True, len(LARGE))
    assert "MB of" not in shown
    assert "deferred" not in result
    assert (server.sent, left_behind()) == (0, [])
    assert list(dest.parent.iterdir()) == []


def test_short_rest_of_a_large_file_is_fetched_in_one_run(play, server, dest, tmp_path):
    dest.write_bytes(LARGE[:-1000])
    result, _shown = play()
    assert (result["bytes_fetched"], result["bytes_reused"]) == (1000, len(LARGE) - 1000)
    # The wrapper of asynchronous jobs would have made it.
    assert not (tmp_path / "jobs").exists()


def test_failure_of_a_large_download_is_the_modules_own(play, server, dest, left_behind):
    server.faults.append(Fault(status=404))
    result, _shown = play()
    assert result["failed"] is True
    assert "no such file" in result["msg"]
    assert left_behind() == []


def test_work_that_is_killed_is_told_and_continued(play, server, dest, tmp_path, left_behind):
    server.pause_when(20_000_000)

    def kill():
        server.paused.wait(60)
        # A moment for what is on its way.
        time.sleep(1)
        (status,) = (tmp_path / "jobs").glob("edgellm-*")
        os.kill(json.loads(status.read_text())["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    result, _shown = play()
    killer.join()
    server.resumed.set()
    assert result["failed"] is True
    assert "ended without a result" in result["msg"]
    assert left_behind() == []
    result, _shown = play()
    assert dest.read_bytes() == LARGE
    assert result["bytes_reused"] >= 8 * 1024 * 1024

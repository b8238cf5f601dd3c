# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks over a local connection: what is shown, what is returned, what is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.unit.file_server import Fault, FileServer

HOW = ("check_mode", "jobs", "terminal", "hosts")
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
        wish.update({key: how.pop(key) for key in list(how) if key not in HOW})
        return play_task("gguf_file", wish, **how)

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
    result, shown = play(lanes=1, terminal=True)
    waiting.join()
    assert dest.read_bytes() == LARGE
    assert result["changed"] is True
    # One line that is written anew, and that makes room for what comes after it.
    lines = [line for line in re.split("[\r\n]", shown) if "box: x.gguf  " in line]
    assert len(lines) > 2
    assert " MB of 24.0 MB (" in lines[-1]
    assert "\n" not in shown[shown.index(lines[0]) : shown.index(lines[-1])]
    assert re.match(r"\r +\r", shown[shown.index(lines[-1]) + len(lines[-1]) :])
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
    result, shown = play()
    killer.join()
    # Nobody looks where there is no terminal.
    assert "x.gguf  " not in shown
    server.resumed.set()
    assert result["failed"] is True
    assert "ended without a result" in result["msg"]
    assert left_behind() == []
    result, _shown = play()
    assert dest.read_bytes() == LARGE
    assert result["bytes_reused"] >= 8 * 1024 * 1024


# --- Ctrl-C --------------------------------------------------------------------------------------


@pytest.fixture
def watch(watch_task, server, dest):
    """Begin to fetch on a terminal; the server falls silent in the middle."""

    def watch(**how):
        wish = {"repo": "n/r", "file": "x.gguf", "endpoint": server.endpoint, "dest": str(dest)}
        return watch_task("gguf_file", {**wish, "lanes": 1}, **how)

    return watch


def appears(window, text) -> bool:
    deadline = time.monotonic() + 60
    while text not in window.shown and time.monotonic() < deadline:
        time.sleep(0.1)
    return text in window.shown


def alive(pid) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def worker_of(tmp_path) -> int:
    """The process that does the work on the host."""
    (status,) = (tmp_path / "jobs").glob("edgellm-*.json")
    return json.loads(status.read_text())["pid"]


def test_ctrl_c_ends_the_work_on_the_host_and_keeps_what_was_fetched(
    watch, play, server, dest, tmp_path, left_behind
):
    server.pause_when(20_000_000)
    window = watch()
    assert appears(window, " MB of 24.0 MB")
    assert server.paused.wait(30)
    pid = worker_of(tmp_path)
    assert alive(pid)
    window.type("\x03")
    window.wait()
    server.resumed.set()
    assert "User interrupted execution" in window.shown
    assert not alive(pid)
    assert left_behind() == []
    # A settled journal, and no lock.
    assert sorted(path.name.removeprefix("x.gguf.") for path in dest.parent.iterdir()) == [
        f"{server.sha256[:12]}.part",
        f"{server.sha256[:12]}.part.json",
    ]
    result, _shown = play()
    assert result["bytes_reused"] >= 19_000_000
    assert dest.read_bytes() == LARGE


@pytest.mark.full
def test_work_goes_on_without_ansible_and_the_next_run_waits_for_it(
    watch, watch_task, play, server, dest, tmp_path
):
    server.pause_when(20_000_000)
    window = watch()
    assert server.paused.wait(60)
    assert appears(window, " MB of 24.0 MB")
    pid = worker_of(tmp_path)
    for worker in children(window.process.pid):
        os.kill(worker, signal.SIGKILL)
    window.process.kill()
    window.process.wait()
    assert alive(pid)
    again = watch()
    assert appears(again, f"x.gguf is being fetched by process {pid} already")
    assert appears(again, "box: x.gguf  another run has 19.")
    server.resumed.set()
    again.wait()
    result = json.loads((tmp_path / "result").read_text())
    assert (result["changed"], result["attached"], result["bytes_fetched"]) == (False, True, 0)
    assert server.sent == len(LARGE)
    assert dest.read_bytes() == LARGE


def children(pid) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

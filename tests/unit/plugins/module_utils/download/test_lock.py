# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import lock, partial, record
from ansible_collections.edgellm.host.plugins.module_utils.download.errors import Locked


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.part.lock"


def holder(**other):
    return json.dumps({**lock._myself(), **other})


@pytest.fixture
def gone():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_lock_says_who_holds_it_and_goes_with_the_work(path):
    with lock.held(path, "x") as held:
        said = json.loads(path.read_text())
        assert (said["pid"], said["host"]) == (os.getpid(), os.uname().nodename)
        assert held.is_held()
    assert not path.exists()


def test_second_writer_is_told_who_the_first_is(path):
    with lock.held(path, "the file"):
        told = f"the file .* process {os.getpid()} on .*remove {path}"
        with pytest.raises(Locked, match=told) as caught:
            lock.held(path, "the file").__enter__()
        assert caught.value.certain is True
        assert path.exists()
    assert not path.exists()


def test_lock_of_a_dead_process_is_taken_over(path, gone):
    path.write_text(holder(pid=gone))
    with lock.held(path, "x"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_lock_of_a_number_that_was_given_out_again_is_taken_over(path):
    path.write_text(holder(started="1"))
    with lock.held(path, "x"):
        assert json.loads(path.read_text())["started"] != "1"


def test_lock_from_before_the_reboot_is_taken_over(path):
    path.write_text(holder(boot="another"))
    with lock.held(path, "x"):
        assert json.loads(path.read_text())["boot"] != "another"


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_lock_whose_maker_died_before_it_signed_is_taken_over(path, content):
    path.write_text(content)
    with lock.held(path, "x"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_lock_of_a_living_process_holds_without_help_of_the_file_system(path):
    path.write_text(holder())
    with pytest.raises(Locked) as caught:
        lock.held(path, "x").__enter__()
    assert caught.value.certain is False


def test_lock_of_another_host_is_never_taken_over(path, gone):
    path.write_text(holder(pid=gone, host="elsewhere"))
    with pytest.raises(Locked, match="on elsewhere") as caught:
        lock.held(path, "x").__enter__()
    assert caught.value.certain is False


def test_one_of_many_takes_a_stale_lock_over(path, gone):
    path.write_text(holder(pid=gone))
    barrier, done = threading.Barrier(8), threading.Event()
    won, lost = [], []

    def compete():
        barrier.wait()
        try:
            with lock.held(path, "x"):
                won.append(1)
                done.wait(20)
        except Locked:
            lost.append(1)
        if len(lost) == 7:
            done.set()

    rivals = [threading.Thread(target=compete) for _ in range(8)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert (len(won), len(lost)) == (1, 7)


def test_lock_that_somebody_removed_is_left_alone(path):
    with lock.held(path, "x") as held:
        path.unlink()
        path.write_text("somebody else's")
        assert not held.is_held()
    assert path.read_text() == "somebody else's"


def test_what_another_finished_meanwhile_is_not_fetched_again(
    fetch, hub, server, dest, content, monkeypatch
):
    opened = partial.opened

    def late(*args, **how):
        # Between the decision and the lock.
        monkeypatch.setattr(partial, "opened", opened)
        fetch(hub())
        return opened(*args, **how)

    monkeypatch.setattr(partial, "opened", late)
    assert fetch(hub()).changed is False
    assert (server.sent, record.read(record.place(dest)).size) == (len(content), len(content))

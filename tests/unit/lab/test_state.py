# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from lab import state
from lab.errors import LabError


def _hold(held: Event, done: Event) -> None:
    with state.lock():
        held.set()
        done.wait(20)


def test_an_entry_of_none_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(state, "MACHINE", tmp_path)
    state.update(engine={"pid": 1}, packages={"x": ["y"]})
    state.update(engine=None)
    assert state.read() == {"packages": {"x": ["y"]}}


def test_the_local_folder_keeps_itself_out_of_git(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(state, "LOCAL", tmp_path / ".lab")
    assert state.local_dir("cache").is_dir()
    assert (tmp_path / ".lab/.gitignore").read_text() == "*\n"


def test_a_second_command_waits_and_names_the_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(state, "_lock_folder", lambda: tmp_path)
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    first = context.Process(target=_hold, args=(held, done))
    first.start()
    try:
        assert held.wait(20)
        with pytest.raises(LabError, match=f"process {first.pid}"), state.lock(patience=0):
            pass
    finally:
        done.set()
        first.join(20)
    with state.lock(patience=20):
        pass

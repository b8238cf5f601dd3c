# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses
import json
import os

from ansible_collections.edgellm.host.plugins.module_utils.status_file import StatusFile


@dataclasses.dataclass
class Work:
    done: int = 0
    total: int = 100
    rate: float = 20.4
    phase: str = "fetching"
    writer: int | None = None


def test_status_file_is_written_once_a_second(tmp_path):
    now = [100.0]
    path = tmp_path / "status"
    work, status = Work(), StatusFile(str(path), clock=lambda: now[0])
    seen = []
    for second, done in ((0.0, 0), (0.5, 10), (1.0, 20), (1.9, 30), (2.0, 40)):
        now[0], work.done = 100.0 + second, done
        status.update("x:latest", work)
        seen.append(json.loads(path.read_text())["bytes_done"])
    assert seen == [0, 0, 20, 20, 40]
    assert json.loads(path.read_text()) == {
        "name": "x:latest",
        "pid": os.getpid(),
        "phase": "fetching",
        "writer": None,
        "bytes_done": 40,
        "bytes_total": 100,
        "bytes_per_second": 20,
    }
    assert list(tmp_path.iterdir()) == [path]


def test_who_works_is_known_before_there_is_any_progress(tmp_path):
    path = tmp_path / "status"
    StatusFile(str(path)).begin()
    said = json.loads(path.read_text())
    assert (said["pid"], said["phase"], said["bytes_total"]) == (os.getpid(), "starting", 0)


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    StatusFile(None).update("x", Work())
    assert list(tmp_path.iterdir()) == []


def test_place_that_cannot_be_written_fails_nothing(tmp_path):
    StatusFile(str(tmp_path / "no" / "status")).update("x", Work())
    assert list(tmp_path.iterdir()) == []

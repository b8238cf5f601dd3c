# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin in a real play: what reaches the terminal, and what the files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
REPORT = {
    "box1": {
        "endpoint": "http://127.0.0.1:11434",
        "server_version": "0.32.15",
        "models": [{"name": "smollm2:135m", "digest": "ab" * 32, "size": 98_362_432}],
        "probes": [{"digest": "ab" * 32, "kind": "chat", "text": "富士山です。𠮷"}],
        "plan": [{"what": "Model", "detail": "smollm2:135m", "bytes": 98_362_432}],
    }
}


@pytest.fixture
def play(tmp_path):
    def play(*options: str, **arguments: object) -> subprocess.CompletedProcess[str]:
        tasks = [{"name": "Sum up", "edgellm.host.summary": arguments}]
        book = [{"name": "T", "hosts": "localhost", "gather_facts": False, "tasks": tasks}]
        path = tmp_path / "play.json"
        path.write_text(json.dumps(book), encoding="utf-8")
        env = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
        return subprocess.run(
            ["ansible-playbook", "--inventory", "localhost,", *options, str(path)],
            cwd=ROOT,
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return play


def test_page_is_printed_and_written_in_check_mode_too(play, tmp_path):
    dest = tmp_path / "new/reports"
    done = play("--check", hosts=REPORT, dest=str(dest))
    assert done.returncode == 0, done.stderr
    assert "changed=0" in done.stdout
    assert "富士山です。𠮷" in done.stdout
    page = (dest / "report.txt").read_text(encoding="utf-8")
    assert page in done.stdout
    written = json.loads((dest / "report.json").read_text(encoding="utf-8"))
    assert written["mode"] == "run"
    assert written["hosts"]["box1"]["models"][0]["answer"] == "富士山です。𠮷"


def test_plan_is_another_page(play):
    done = play(hosts=REPORT, mode="plan")
    assert done.returncode == 0, done.stderr
    assert "box1: 1 step, 98.4 MB to fetch" in done.stdout


def test_place_that_cannot_be_written_fails_with_the_remedy(play, tmp_path):
    (tmp_path / "taken").touch()
    done = play(hosts=REPORT, dest=str(tmp_path / "taken"))
    assert done.returncode == 2
    assert "cannot be written" in done.stdout + done.stderr


def test_unknown_mode_is_refused(play):
    done = play(hosts=REPORT, mode="all")
    assert done.returncode == 2
    assert "must be one of" in done.stdout + done.stderr

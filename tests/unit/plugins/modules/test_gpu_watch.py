# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.fixture
def dest(tmp_path):
    return tmp_path / "watch.pyz"


def test_check_mode_predicts_and_writes_nothing(run_module, dest):
    result = run_module("gpu_watch", dest=str(dest), check_mode=True)
    assert result["changed"]
    assert not dest.exists()


def test_second_run_changes_nothing(run_module, dest):
    first = run_module("gpu_watch", dest=str(dest))
    second = run_module("gpu_watch", dest=str(dest))
    assert (first["changed"], second["changed"]) == (True, False)
    assert first["sha256"] == second["sha256"]


def test_file_of_an_older_version_is_replaced(run_module, dest):
    dest.write_bytes(b"older")
    assert run_module("gpu_watch", dest=str(dest))["changed"]
    assert dest.read_bytes() != b"older"


@pytest.mark.parametrize("where", [".", "no/such/folder/watch.pyz"])
def test_place_that_cannot_be_is_refused(run_module, tmp_path, where):
    result = run_module("gpu_watch", dest=str(tmp_path / where), fails=True)
    assert "folder" in result["msg"]


def test_program_runs_without_ansible(run_module, dest, tmp_path):
    """A machine without GPU and engine: one line that says so, a record, and quiet after that."""
    run_module("gpu_watch", dest=str(dest))
    (tmp_path / "state").mkdir()
    (tmp_path / "system").mkdir()
    # -I: no site-packages by environment, no folder of ours in the path.
    command = [sys.executable, "-I", "-S", "-B", str(dest), "--root", str(tmp_path)]
    command += ["--system", str(tmp_path / "system")]
    first, second = (
        subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        for _ in range(2)
    )
    assert (first.stderr, second.stderr) == ("", "")
    assert first.returncode == second.returncode == 0
    assert "CPU" in first.stdout
    assert second.stdout == ""
    assert json.loads((tmp_path / "state/gpu-gate.json").read_text())["rows"][0]["ok"]

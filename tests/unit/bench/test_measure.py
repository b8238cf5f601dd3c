# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.bench.measure import EVERY, Run

MEGABYTES = 64
HOLD = f"import time; held = bytearray({MEGABYTES} << 20); time.sleep({EVERY * 6})"
# Two processes hold it at the same time, and the second one spends CPU time as well.
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', sys.argv[1]])
{HOLD}
child.wait()
"""
CHILD = f"""
{HOLD}
end = time.process_time() + 0.2
while time.process_time() < end:
    pass
"""


@pytest.fixture
def start(tmp_path):
    def start(*command: str) -> Run:
        return Run([sys.executable, "-c", *command], tmp_path, dict(os.environ), tmp_path / "log")

    return start


def test_what_children_take_counts(start):
    with start(PARENT, CHILD) as run:
        taken = run.wait()
    assert taken.status == 0
    assert 2 * MEGABYTES << 20 < taken.memory < 4 * MEGABYTES << 20
    assert taken.cpu > 0.2


def test_exit_status_is_told(start):
    with start("raise SystemExit(3)") as run:
        assert run.wait().status == 3


def test_nothing_is_left_running(start):
    with start("import time; time.sleep(60)") as run:
        assert not run.has_ended
    assert run._process.returncode == -signal.SIGKILL

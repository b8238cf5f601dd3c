# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard of tests/unit/conftest.py is only worth something if it bites."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

OFFENDER = Path(__file__).with_name("offender.py")


def test_module_that_acts_in_check_mode_fails_its_test(root):
    command = [sys.executable, "-m", "pytest", "-rA", str(OFFENDER)]
    # Wide enough that the summary is not cut off.
    env = {**os.environ, "COLUMNS": "500"}
    done = subprocess.run(
        command, cwd=root, env=env, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 1, done.stdout + done.stderr
    pattern = r"^ERROR .*test_guilty\[(.*?)\] - Failed: (.*)$"
    bitten = re.findall(pattern, done.stdout, re.MULTILINE)
    assert bitten == [
        ("POST-/api/pull", "sent in check mode: POST /api/pull"),
        ("POST-/api/copy", "sent in check mode: POST /api/copy"),
        ("POST-/api/chat", "sent in check mode: POST /api/chat"),
        ("POST-/api/generate", "sent in check mode: POST /api/generate"),
        ("DELETE-/api/delete", "sent in check mode: DELETE /api/delete"),
        ("PUT-/api/show", "sent in check mode: PUT /api/show"),
    ]
    assert not re.search(r"^(ERROR|FAILED) .*test_innocent", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^PASSED .*test_innocent", done.stdout, re.MULTILINE)) == 5

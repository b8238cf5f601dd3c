# SPDX-License-Identifier: GPL-3.0-or-later
"""`make test` uses two cores, but there is one lab."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

NOTE = """
import os, pathlib, time
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.1)
    pathlib.Path(f"{kind}-{{time.monotonic_ns()}}").write_text(os.environ["PYTEST_XDIST_WORKER"])
"""


def test_what_needs_the_lab_runs_at_the_end_and_one_after_the_other(root, tmp_path):
    (options,) = re.findall(r"^PARALLEL = (.*)$", (root / "Makefile").read_text(), re.MULTILINE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    lab: needs the lab\n")
    for kind in ("system", "unit"):
        (tmp_path / "tests" / kind).mkdir(parents=True)
        mark = "\npytestmark = pytest.mark.lab\n" if kind == "system" else ""
        (tmp_path / "tests" / kind / f"test_{kind}.py").write_text(NOTE.format(kind=kind) + mark)
    shutil.copy(root / "tests/conftest.py", tmp_path / "tests")
    command = [sys.executable, "-m", "pytest", "-q", *options.split()]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    system, unit = (
        [path.read_text() for path in tmp_path.glob(f"{kind}-*")] for kind in ("system", "unit")
    )
    assert (len(system), len(unit)) == (6, 6)
    assert (len(set(system)), len(set(unit))) == (1, 2)
    order = sorted(tmp_path.glob("*-*"), key=lambda path: path.name.partition("-")[2])
    assert [path.name.partition("-")[0] for path in order[:5]] == ["unit"] * 5

# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a small play over a role's own variables and tasks."""

from __future__ import annotations

import json
import os
import subprocess

import pytest


@pytest.fixture(scope="session")
def run_play(root):
    """Run `play.yml` of a folder on the host `box`, which is this machine, with `cases`."""

    def run(folder, cases) -> None:
        (folder / "cases.json").write_text(json.dumps({"cases": cases}))
        done = subprocess.run(
            ["ansible-playbook", "-i", "box,", "-c", "local", "play.yml", "-e", "@cases.json"],
            cwd=folder,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(root / "collections")},
            check=False,
            capture_output=True,
            text=True,
            timeout=110,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run

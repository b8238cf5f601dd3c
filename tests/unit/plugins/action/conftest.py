# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks of one task over a local connection."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml


@pytest.fixture
def left_behind(tmp_path):
    """What lies in the folders for temporary files and asynchronous jobs."""
    return lambda: [
        path for name in ("tmp", "jobs") for path in (tmp_path / name).glob("*") if path.exists()
    ]


@pytest.fixture
def play_task(root, tmp_path):
    """Run a module as one task of a playbook; its result and what was shown."""

    def play_task(module, params, *, check_mode=False, jobs=None):
        (tmp_path / "tmp").mkdir(exist_ok=True)
        task = {f"edgellm.host.{module}": params, "register": "done"}
        keep = {
            "ansible.builtin.copy": {
                "content": "{{ done | to_json }}",
                "dest": str(tmp_path / "result"),
            },
            "check_mode": False,
        }
        keeping = {"block": [task], "always": [keep]}
        book = [{"hosts": "box", "gather_facts": False, "tasks": [keeping]}]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(book))
        python = "ansible_python_interpreter='{{ ansible_playbook_python }}'"
        (tmp_path / "hosts").write_text(f"box ansible_connection=local {python}")
        kept = {name: value for name, value in os.environ.items() if "ANSIBLE" not in name}
        env = {
            **kept,
            "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
            "ANSIBLE_REMOTE_TMP": str(tmp_path / "tmp"),
            "ANSIBLE_ASYNC_DIR": str(jobs or tmp_path / "jobs"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        }
        command = ["ansible-playbook", "-i", str(tmp_path / "hosts"), str(tmp_path / "play.yml")]
        done = subprocess.run(
            [*command, "--check"] if check_mode else command,
            cwd=root,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert (tmp_path / "result").exists(), done.stdout + done.stderr
        return json.loads((tmp_path / "result").read_text()), done.stdout

    return play_task

# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks of one task over a local connection."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
import threading

import pytest
import yaml


@pytest.fixture
def left_behind(tmp_path):
    """What lies in the folders for temporary files and asynchronous jobs."""
    return lambda: [
        path for name in ("tmp", "jobs") for path in (tmp_path / name).glob("*") if path.exists()
    ]


class Terminal:
    """A program with a terminal of its own, and what it shows there."""

    def __init__(self, command, **how) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (40, 120))
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            **how,
        )
        os.close(theirs)
        self.shown = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # Reading fails when nobody has the other end any more.
        with contextlib.suppress(OSError):
            while data := os.read(self._ours, 65536):
                self.shown += data.decode()

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait(self) -> int:
        status = self.process.wait(100)
        self._reader.join(10)
        os.close(self._ours)
        return status


# It takes the terminal as its own, as a shell does at login.
LOGIN = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def prepared(root, tmp_path):
    """A playbook with a module as its one task: how to run it."""

    def prepared(module, params, *, jobs=None, hosts=("box",)):
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
        book = [{"hosts": "all", "gather_facts": False, "tasks": [keeping]}]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(book))
        python = "ansible_python_interpreter='{{ ansible_playbook_python }}'"
        lines = [f"{host} ansible_connection=local {python}" for host in hosts]
        (tmp_path / "hosts").write_text("\n".join(lines))
        kept = {name: value for name, value in os.environ.items() if "ANSIBLE" not in name}
        env = {
            **kept,
            "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
            "ANSIBLE_REMOTE_TMP": str(tmp_path / "tmp"),
            "ANSIBLE_ASYNC_DIR": str(jobs or tmp_path / "jobs"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "TERM": "xterm",
        }
        command = ["ansible-playbook", "-i", str(tmp_path / "hosts"), str(tmp_path / "play.yml")]
        return command, {"cwd": root, "env": env}

    return prepared


@pytest.fixture
def play_task(prepared, tmp_path):
    """Run a module as one task of a playbook; its result and what was shown."""

    def play_task(module, params, *, check_mode=False, terminal=False, **how):
        command, how = prepared(module, params, **how)
        if check_mode:
            command.append("--check")
        if terminal:
            window = Terminal(command, **how)
            window.wait()
            shown = window.shown
        else:
            done = subprocess.run(
                command, **how, capture_output=True, text=True, check=False, timeout=100
            )
            shown = done.stdout
        assert (tmp_path / "result").exists(), shown
        return json.loads((tmp_path / "result").read_text()), shown

    return play_task


@pytest.fixture
def watch_task(prepared):
    """Begin to run a module as one task of a playbook, on a terminal."""
    running = []

    def watch_task(module, params, **how):
        command, how = prepared(module, params, **how)
        running.append(Terminal(command, **how))
        return running[-1]

    yield watch_task
    for window in running:
        window.process.kill()
        window.process.wait()

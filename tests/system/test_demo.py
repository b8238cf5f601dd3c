# SPDX-License-Identifier: GPL-3.0-or-later
"""`make demo` as a user types it: from bare to answering, then nothing left to do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

BOX = "edgellm-lab-box1"
RECORD = "http://198.18.77.2/_lab/record"
RECAP = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=0 ", re.MULTILINE)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]


def containers_in_box() -> list[str]:
    """Ids and start times: a container that was restarted in place is noticed too."""
    inspect = "docker inspect --format '{{.Id}} {{.State.StartedAt}}' $(docker ps --quiet)"
    done = subprocess.run(
        ["docker", "exec", BOX, "sh", "-c", inspect], check=True, capture_output=True, text=True
    )
    return sorted(done.stdout.split("\n"))


def changed(output: str) -> list[int]:
    return [int(count) for count in RECAP.findall(output)]


def report(root: Path) -> str:
    return (root / "build" / "demo" / "report.txt").read_text(encoding="utf-8")


@pytest.mark.usefixtures("lab")
def test_demo_from_bare_box_answers_and_second_run_does_nothing(root, run_logged):
    subprocess.run([sys.executable, "-m", "lab", "reset", "box1"], check=True, cwd=root)

    first = run_logged("demo-first", "make", "demo")
    (count,) = changed(first)
    assert count > 0
    assert "smollm2" in report(root)
    assert first.rstrip().endswith("give the disk back")
    containers = containers_in_box()
    mark = httpx.get(f"{RECORD}/mark").json()["next"]

    second = run_logged("demo-second", "make", "demo")
    assert changed(second) == [0]
    assert containers_in_box() == containers
    lines = httpx.get(RECORD, params={"since": mark}).text.splitlines()
    fetched = [entry for entry in map(json.loads, lines) if entry["bytes"]]
    assert fetched == []
    assert "smollm2" in report(root)


# A demo killed there has left different things behind: half an engine, half a pull.
@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    "marker",
    [
        "2 of 3",
        "TASK [edgellm.host.preflight",
        "TASK [edgellm.host.docker_engine",
        "TASK [edgellm.host.ollama_server",
        "TASK [edgellm.host.ollama_models",
    ],
)
def test_demo_killed_anywhere_goes_on_when_started_again(marker, root, run_logged):
    subprocess.run([sys.executable, "-m", "lab", "reset", "box1"], check=True, cwd=root)
    with subprocess.Popen(
        ["make", "demo"],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as demo:
        seen = any(marker in line for line in demo.stdout)
        os.killpg(demo.pid, signal.SIGKILL)
    assert seen, f"the demo never printed {marker!r}"
    output = run_logged("demo-after-kill", "make", "demo")
    assert changed(output)
    assert changed(run_logged("demo-after-kill-again", "make", "demo")) == [0]

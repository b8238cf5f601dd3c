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

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOX = "edgellm-lab-box1"
RECAP = re.compile(r"^(\S+) +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=0 ", re.MULTILINE)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]


def containers_in_box() -> list[str]:
    """Ids and start times: a container that was restarted in place is noticed too."""
    inspect = "docker inspect --format '{{.Id}} {{.State.StartedAt}}' $(docker ps --quiet)"
    done = subprocess.run(
        ["docker", "exec", BOX, "sh", "-c", inspect], check=True, capture_output=True, text=True
    )
    return sorted(done.stdout.split("\n"))


def lab(*arguments: str) -> str:
    command = [sys.executable, "-m", "lab", *arguments]
    return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout


def changed(output: str) -> dict[str, int]:
    """Changed tasks of each host that got through."""
    return {host: int(count) for host, count in RECAP.findall(output)}


def report() -> str:
    return (ROOT / "build" / "demo" / "report.txt").read_text(encoding="utf-8")


@pytest.mark.usefixtures("lab")
def test_demo_from_bare_box_answers_and_second_run_does_nothing(run_logged):
    lab("reset", "box1")

    first = run_logged("demo-first", "make", "demo")
    assert changed(first)["box1"] > 0
    assert "smollm2:135m" in report()
    assert "smollm2-gguf" in report()
    assert re.search(r"smollm2-embed:135m .*576", report())
    assert "a connection was cut after 5.0 MB of SmolLM2-135M-Instruct.Q4_1.gguf" in first
    assert first.rstrip().endswith("give the disk back")
    containers = containers_in_box()
    mark = lab("record", "--mark").strip()

    second = run_logged("demo-second", "make", "demo")
    assert changed(second) == dict.fromkeys(changed(first), 0)
    assert containers_in_box() == containers
    requests = map(json.loads, lab("record", "--since", mark).splitlines())
    fetched = [request for request in requests if request["bytes"]]
    assert fetched == []
    assert "smollm2" in report()


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
def test_demo_killed_anywhere_goes_on_when_started_again(marker, run_logged):
    lab("reset", "box1")
    with subprocess.Popen(
        ["make", "demo"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as demo:
        seen = any(marker in line for line in demo.stdout)
        os.killpg(demo.pid, signal.SIGKILL)
    assert seen, f"the demo never printed {marker!r}"
    finished = changed(run_logged("demo-after-kill", "make", "demo"))
    assert "box1" in finished
    again = changed(run_logged("demo-after-kill-again", "make", "demo"))
    assert again == dict.fromkeys(finished, 0)

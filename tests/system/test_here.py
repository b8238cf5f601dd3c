# SPDX-License-Identifier: GPL-3.0-or-later
"""`make here` as a user types it on a bare machine: a box with git, make and Python, nothing else.

The box has no way to the package index, so the wheels of the lock are carried in. Its Python is
newer than the controller's, so this is also where a newer ansible-core runs everything.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
BOX = "edgellm-lab-box3"
CLONE = "/root/edgellm"
# Debian 13's, which the box gets.
PYTHON = {"python_full_version": "3.13.5", "python_version": "3.13"}
HOST_VARS = """---
edgellm_mirrors:
  docker_hub: http://198.18.77.4:5000
  docker_apt: http://198.18.77.2/apt/docker
  ollama_registry: http://198.18.77.2
ollama_models_list: [smollm2-135m]
"""

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]


def call(*command: str, **options) -> str:
    return subprocess.run(
        command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options
    ).stdout


def in_box(script: str, **options) -> str:
    return call("docker", "exec", "--interactive", BOX, "sh", "-ec", script, **options)


def locked_for_the_box() -> str:
    """The lock's lines that hold for the box's Python: pip decides by the Python it runs on."""
    lines = []
    text = (ROOT / "requirements" / "controller.txt").read_text(encoding="utf-8")
    for block in re.split(r"\n(?=\S)", text.replace("\\\n", " ")):
        line = block.partition("\n")[0]
        if line.startswith("#"):
            continue
        requirement, _, hashes = line.partition(" --hash=")
        parsed = Requirement(requirement)
        if parsed.marker is None or parsed.marker.evaluate(PYTHON):
            lines.append(f"{parsed.name}{parsed.specifier} --hash={hashes}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def machine(tmp_path):
    """A bare box with a clone of the project."""
    call(sys.executable, "-m", "lab", "reset", "box3", "--image", "box")
    in_box(
        "apt-get update -qq && DEBIAN_FRONTEND=noninteractive "
        "apt-get install -qq --no-install-recommends git make >/dev/null 2>&1"
    )
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(locked_for_the_box(), encoding="utf-8")
    wheels = tmp_path / "wheels"
    call(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", f"--python-version={PYTHON['python_version']}"),
        *(f"--dest={wheels}", f"--requirement={requirements}"),
    )
    call("docker", "cp", str(wheels), f"{BOX}:/wheels")
    shutil.rmtree(wheels)
    files = call("git", "ls-files", "--cached", "--others", "--exclude-standard")
    present = "\n".join(name for name in files.splitlines() if (ROOT / name).exists())
    archive = tmp_path / "clone.tar"
    call("tar", "--create", f"--file={archive}", "--files-from=-", input=present)
    call("docker", "cp", str(archive), f"{BOX}:/clone.tar")
    in_box(f"mkdir -p {CLONE} && tar --extract --directory={CLONE} --file=/clone.tar")
    in_box(f"mkdir {CLONE}/inventory/host_vars")
    in_box(f"cat >{CLONE}/inventory/host_vars/this-machine.yml", input=HOST_VARS)


@pytest.mark.usefixtures("lab", "machine")
def test_here_shows_the_plan_asks_once_then_answers_and_has_nothing_left_to_do(run_logged):
    environment = [
        word for name in ("PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels") for word in ("--env", name)
    ]
    make_here = ["make", "--no-print-directory", "-C", CLONE, "here"]

    unasked = subprocess.run(
        ["docker", "exec", *environment, BOX, *make_here],
        check=False,
        capture_output=True,
        text=True,
    )
    assert unasked.returncode != 0
    assert "EDGELLM_YES=1" in unasked.stderr + unasked.stdout
    for step in ("Docker Engine", "Container image", "smollm2:135m", "Free disk in /srv/edgellm"):
        assert step in unasked.stdout
    assert in_box("command -v docker || echo none").strip() == "none"

    agreed = ["docker", "exec", *environment, "--env", "EDGELLM_YES=1", BOX, *make_here]
    first = run_logged("here-first", *agreed)
    assert first.index("Free disk in /srv/edgellm") < first.index("TASK [")
    assert "answered" in first
    second = run_logged("here-second", *agreed)
    assert "this-machine: nothing to do" in second
    assert re.search(r"this-machine +: ok=\d+ +changed=0 +unreachable=0 +failed=0", second)

# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with two GPUs after its roles: packages, CDI, engine, container, tokens, timer."""

from __future__ import annotations

import json

import pytest

from tests.unit.docs.lab_names import LAB_NAMES
from tests.unit.docs.pages import DOCS, commands

testinfra_hosts = ["ansible://box2"]

PACKAGES = [
    "libnvidia-container-tools",
    "libnvidia-container1",
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
]


@pytest.fixture
def uuids(host) -> list[str]:
    query = "nvidia-smi --query-gpu=uuid --format=csv,noheader"
    return host.check_output(query).split()


@pytest.fixture
def verdict(host):
    return json.loads(host.file("/srv/edgellm/state/verify.json").content_string)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_has_the_pinned_version(host, package):
    assert host.package(package).version == "1.20.0-1"


def test_all_four_packages_are_held_and_an_upgrade_leaves_them(host):
    assert host.check_output("apt-mark showhold").split() == PACKAGES


def test_repository_is_signed_with_its_own_key(host):
    text = host.file("/etc/apt/sources.list.d/nvidia-container-toolkit.sources").content_string
    assert "Signed-By: /etc/apt/keyrings/nvidia-container-toolkit.asc" in text
    assert "Trusted" not in text


def test_daemon_json_has_runtime_and_cdi_beside_what_was_there(host):
    config = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert config["runtimes"] == {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}
    assert config["features"] == {"cdi": True}
    assert config["log-driver"] == "local"
    assert config["live-restore"] is True


def test_ollama_gets_its_gpus_by_cdi(docker_json):
    (request,) = docker_json("ollama")["HostConfig"]["DeviceRequests"]
    assert request["Driver"] == "cdi"
    assert request["DeviceIDs"] == ["nvidia.com/gpu=all"]


def test_ollama_sees_both_gpus(host, uuids):
    assert len(uuids) == 2
    inside = host.check_output("docker exec ollama nvidia-smi -L")
    assert [uuid for uuid in uuids if uuid not in inside] == []


def test_a_container_without_injection_sees_none(host):
    done = host.run("docker run --rm --entrypoint sh ollama/ollama:0.32.15 -c 'ls /dev/nvidia*'")
    assert done.rc != 0


def test_guides_command_works_as_typed(host, uuids):
    """`docker run --rm --gpus all IMAGE nvidia-smi`; the image with CUDA cannot be had here."""
    command = "docker run --rm --gpus all --entrypoint nvidia-smi ollama/ollama:0.32.15 -L"
    done = host.run(command)
    if host.file("/sys/fs/cgroup/devices").exists:
        assert [uuid for uuid in uuids if uuid not in done.stdout] == []
    else:
        # The stand-in behind `--gpus` cannot do it there, and says so.
        assert "cgroup v2" in done.stderr


def test_model_lies_on_the_gpu_and_nvidia_smi_sees_it(host, api):
    asked = {"model": "smollm2:135m", "prompt": "Say hello.", "stream": False}
    # So small a model may go on for ever.
    api("/api/generate", {**asked, "options": {"num_predict": 16, "temperature": 0}})
    (loaded,) = api("/api/ps")["models"]
    assert loaded["size_vram"] == loaded["size"] > 0
    query = "nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits"
    lines = [line.split(",") for line in host.check_output(query).splitlines()]
    pids = {int(pid) for pid, _memory in lines}
    of_ollama = host.check_output("docker top ollama -o pid").split()[1:]
    assert pids & {int(pid) for pid in of_ollama}


def test_every_promise_holds(verdict):
    assert [row for row in verdict["checks"] if not row["ok"]] == []
    assert verdict["serves_from"] == "GPU"
    assert verdict["tokens_per_second"] > 0


def test_the_gpu_outlasted_reload_and_restart(verdict):
    (row,) = [row for row in verdict["checks"] if "outlasts" in row["check"]]
    assert row["found"] == "kept"


def test_the_image_that_was_named_gets_the_gpu_too(verdict, uuids):
    (row,) = [row for row in verdict["checks"] if row.get("code") == "cuda"]
    assert [uuid for uuid in uuids if uuid not in row["found"]] == []


def test_timer_logs_once_and_then_changes_only(host):
    assert host.service("edgellm-verify.timer").is_enabled
    assert host.service("edgellm-verify.timer").is_running
    journal = "journalctl --quiet --output=cat --unit=edgellm-verify.service _COMM=python3"
    host.check_output("systemctl start edgellm-verify.service")
    before = host.check_output(journal)
    assert before
    host.check_output("systemctl start edgellm-verify.service")
    assert host.check_output(journal) == before


def test_recorded_state_is_that_of_the_gate(host):
    state = json.loads(host.file("/srv/edgellm/state/gpu-gate.json").content_string)
    assert all(row["ok"] for row in state["rows"])


@pytest.mark.timeout(600)
def test_every_command_of_the_page(host):
    for command in commands(DOCS / "gpu.md"):
        if command.not_run:
            continue
        typed = command.renamed(LAB_NAMES)
        done = host.run("timeout 120 bash -c %s", typed.text)
        output = done.stdout + done.stderr
        seen = f"docs/gpu.md:{command.line}\n$ {typed.text}\n{output}"
        assert done.rc == 0, f"{seen}\nended with {done.rc}"
        assert typed.missing(output) == [], seen

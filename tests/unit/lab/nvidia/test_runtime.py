# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runtime and the hook put into a container."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from lab.gpu import Gpu
from lab.nvidia.toolkit import hook, runtime
from lab.nvidia.toolkit.driver import Node

Bundle = t.Callable[..., Path]
COMMON = ["/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"]
VISIBLE = "NVIDIA_VISIBLE_DEVICES"


def prepared(folder: Path) -> dict[str, t.Any]:
    runtime.prepare(["--root", "/run/x", "create", "--bundle", str(folder), "name"])
    config: dict[str, t.Any] = json.loads((folder / "config.json").read_text())
    return config


@pytest.mark.parametrize(
    ("asked", "numbers"), [("all", "01"), ("0", "0"), ("1", "1"), ("0,1", "01"), (Gpu(1).uuid, "1")]
)
def test_a_container_gets_the_gpus_that_it_names(
    machine: Path, bundle: Bundle, asked: str, numbers: str
) -> None:
    config = prepared(bundle("A=b", f"{VISIBLE}={asked}"))
    wanted = [f"/dev/nvidia{number}" for number in numbers] + COMMON
    assert [device["path"] for device in config["linux"]["devices"]] == wanted
    rules = config["linux"]["resources"]["devices"]
    assert [(rule["allow"], rule["access"]) for rule in rules] == [(True, "rwm")] * len(wanted)
    assert config["process"]["env"] == ["A=b", f"{VISIBLE}=void"]
    mounted = [mount["destination"] for mount in config["mounts"]]
    assert mounted == ["/usr/bin/nvidia-smi", "/etc/edgellm-lab/gpus"]


@pytest.mark.parametrize("environment", [[], ["void"], ["none"], [""], ["all", "void"]])
def test_other_containers_stay_as_they_are(
    mismatch: Path, bundle: Bundle, environment: list[str]
) -> None:
    folder = bundle(*(f"{VISIBLE}={value}" for value in environment))
    before = (folder / "config.json").read_text()
    prepared(folder)
    assert (folder / "config.json").read_text() == before


def test_other_commands_of_runc_pass(machine: Path) -> None:
    for command in (["state", "x"], ["features"], ["delete", "--force", "x"]):
        runtime.prepare(command)


def test_a_container_without_its_driver_does_not_start(
    mismatch: Path, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.json"
    folder = bundle(f"{VISIBLE}=all")
    assert runtime.main(["--log", str(log), "create", f"--bundle={folder}", "x"]) == 1
    line = json.loads(log.read_text())
    assert line["level"] == "error"
    assert line["msg"].endswith("failed to initialize NVML: Driver/library version mismatch")
    assert line["msg"] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("7", "failed to get device handle from index: Invalid Argument"),
        ("GPU-x", 'identifier is not a valid UUID or index: "GPU-x"'),
    ],
)
def test_a_gpu_that_there_is_not(
    machine: Path, bundle: Bundle, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundle(f"{VISIBLE}={name}")
    assert runtime.main(["create", "-b", str(folder), "x"]) == 1
    assert capsys.readouterr().err.rstrip().endswith(said)


def test_runc_gets_the_same_arguments_and_a_clean_environment(
    machine: Path, tmp_path: Path
) -> None:
    runc = tmp_path / "bin/runc"
    runc.parent.mkdir()
    runc.write_text('#!/bin/sh\necho "$@" "${PYTHONPATH-none}"\n')
    runc.chmod(0o755)
    argv = [sys.executable, "-m", "lab.nvidia.toolkit.runtime", "state", "x"]
    root = str(Path(runtime.__file__).parents[3])
    path = f"{runc.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": root}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "state x none\n"


def test_the_hook_finds_the_devices_group_or_says_that_there_is_none() -> None:
    old = "5:cpuset:/a\n4:devices:/docker/abc\n0::/x\n"
    assert hook.devices_group(old) == Path("/sys/fs/cgroup/devices/docker/abc")
    with pytest.raises(hook.Failure, match="cgroup v1 only"):
        hook.devices_group("0::/system.slice/docker-abc.scope\n")


def test_the_hooks_commands_are_those_of_a_plain_shell(tmp_path: Path) -> None:
    text = hook.script(str(tmp_path), [Node("/dev/nvidia0", 10, 229, 0o666)])
    assert f"root='{tmp_path}'" in text
    assert '"$root/dev/nvidia0" c 10 229' in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ("void", 0, ""),
        ("9", 1, "nvidia-container-cli: device error: 9: unknown device\n"),
    ],
)
def test_the_hook_before_a_start(
    machine: Path,
    bundle: Bundle,
    asked: str,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = {"pid": 1, "bundle": str(bundle(f"{VISIBLE}={asked}"))}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(state)))
    assert hook.main(["prestart"]) == code
    assert capsys.readouterr().err == said


def test_the_hook_without_a_driver(
    mismatch: Path,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = {"pid": 1, "bundle": str(bundle(f"{VISIBLE}=all"))}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(state)))
    assert hook.main(["prestart"]) == 1
    expected = "nvidia-container-cli: initialization error: nvml error: driver/library version"
    assert capsys.readouterr().err.startswith(expected)

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import watch

from tests.unit.fake_gpu_host import QWEN, gpu_host

UTILS = Path(watch.__file__).parents[1]
LOST = "<3>Ollama sees the GPU: NO. Failed to initialize NVML: Unknown Error. Type: "


@pytest.fixture
def host(tmp_path):
    (tmp_path / "state").mkdir()
    with gpu_host() as host:
        yield host


@pytest.fixture
def look(host, tmp_path, capsys):
    def run(*more):
        capsys.readouterr()
        status = watch.main(
            [f"--root={tmp_path}", f"--url={host.api.url}", f"--system={host.root}", *more]
        )
        return status, capsys.readouterr().out.splitlines()

    return run


@pytest.fixture
def record(tmp_path):
    return lambda: json.loads((tmp_path / "state/gpu-gate.json").read_text())


def test_first_look_tells_the_whole_state_in_one_line(look, record):
    status, (line,) = look()
    assert status == 0
    assert line.startswith(
        "<5>nvidia-smi sees the GPU: NVIDIA GeForce RTX 4090, driver 580.95.05 |"
    )
    assert "models lie on the GPU: 100.0% of qwen2.5:7b-instruct in GPU memory" in line
    kept = record()
    assert (kept["gpu_expected"], kept["on_gpu"], kept["summary"]) == (True, True, "GPU")
    assert [row["code"] for row in kept["rows"]][:2] == ["driver", "cdi"]


def test_first_look_at_a_broken_host_tells_what_is_broken(look, host):
    host.revoke()
    status, (line,) = look()
    assert status == 1
    assert line == f"{LOST}sudo docker restart ollama"


def test_nothing_new_prints_nothing(look, tmp_path):
    look()
    before = (tmp_path / "state/gpu-gate.json").stat()
    assert look() == (0, [])
    after = (tmp_path / "state/gpu-gate.json").stat()
    # Reading it is no change.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_lost_gpu_is_told_once_and_its_return_too(look, host, record):
    look()
    host.revoke()
    assert look() == (1, [f"{LOST}sudo docker restart ollama"])
    assert look() == (1, [])
    assert not record()["on_gpu"]
    host.restart()
    assert look() == (0, ["<5>Ollama sees the GPU: GPU-a"])
    assert record()["on_gpu"]


def test_what_only_follows_is_not_told(look, host):
    look()
    host.break_driver()
    status, (line,) = look()
    assert status == 1
    assert line.startswith("<3>nvidia-smi sees the GPU: NO. Failed to initialize NVML: Driver/lib")
    host.mend_driver()
    status, (line,) = look()
    assert status == 0
    assert line.startswith("<5>nvidia-smi sees the GPU: NVIDIA")


def test_fault_that_was_hidden_meanwhile_is_remembered(look, host):
    look()
    host.revoke()
    look()
    host.break_driver()
    look()
    host.mend_driver()
    host.restart()
    _status, lines = look()
    assert [line.partition(":")[0] for line in lines] == [
        "<5>nvidia-smi sees the GPU",
        "<5>Ollama sees the GPU",
    ]


def test_model_that_comes_and_goes_is_no_news(look, host):
    look()
    host.api.loaded = []
    assert look() == (0, [])
    host.api.loaded = [{**QWEN, "size_vram": 0}]
    status, (line,) = look()
    assert (status, line[:25]) == (1, "<3>models lie on the GPU:")
    host.api.loaded = []
    assert look() == (0, [])
    host.api.loaded = [{**QWEN, "size_vram": 0}]
    assert look() == (1, [])
    host.api.loaded = [QWEN]
    assert look() == (0, ["<5>models lie on the GPU: 100.0% of qwen2.5:7b-instruct in GPU memory"])


def test_other_numbers_are_no_news(look, host):
    host.api.loaded = [{**QWEN, "size_vram": 3_000_000_000}]
    look()
    host.api.loaded = [{**QWEN, "size_vram": 2_000_000_000}]
    assert look() == (1, [])


def test_gpu_that_is_taken_out_is_told(look, host):
    look()
    (host.root / "usr/bin/nvidia-smi").unlink()
    host.give()
    assert look() == (0, ["<5>GPU: CPU: this host has no GPU"])


def test_damaged_record_is_as_none(look, tmp_path):
    (tmp_path / "state/gpu-gate.json").write_text('{"rows": 1')
    assert len(look()[1]) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [(["--min-share=100"], 0, None), (["--expect=never"], 0, "CPU"), (["--expect=always"], 0, "G")],
)
def test_arguments_reach_the_gate(look, record, arguments, status, code):
    assert look(*arguments)[0] == status
    assert record()["summary"].startswith(code or "")


def test_root_that_is_none_is_a_usage_error(host, tmp_path, capsys):
    assert watch.main([f"--root={tmp_path / 'no'}"]) == 2
    assert "--root is not where edgellm lives" in capsys.readouterr().err


def test_unknown_argument_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stop:
        watch.main(["--nope"])
    assert stop.value.code == 2
    assert "--nope" in capsys.readouterr().err


def copied(folder: Path) -> Path:
    """The package as it is on a host: a copy under another name, without Ansible."""
    package = folder / "edgellm_host"
    for name in ("gpu", "host"):
        shutil.copytree(UTILS / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("atomic.py", "errors.py"):
        shutil.copy(UTILS / name, package)
    return package


def test_copy_runs_without_ansible_and_without_anything_installed(host, tmp_path):
    copied(tmp_path / "lib")
    command = [
        *(sys.executable, "-S", "-s", "-B", "-m", "edgellm_host.gpu.watch"),
        *(f"--root={tmp_path}", f"--url={host.api.url}", f"--system={host.root}"),
    ]
    environment = {"PYTHONPATH": str(tmp_path / "lib"), "http_proxy": "http://127.0.0.1:9"}

    def run():
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    first = run()
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.count("\n") == 1
    host.revoke()
    second = run()
    assert (second.returncode, second.stdout) == (1, f"{LOST}sudo docker restart ollama\n")
    assert json.loads((tmp_path / "state/gpu-gate.json").read_text())["summary"] == "CPU"


def test_every_copied_file_imports_without_ansible(tmp_path):
    package = copied(tmp_path / "lib")
    names = [
        f"edgellm_host.{file.relative_to(package).with_suffix('').as_posix().replace('/', '.')}"
        for file in sorted(package.rglob("*.py"))
        if file.stem != "__init__"
    ]
    assert "edgellm_host.gpu.watch" in names
    done = subprocess.run(
        [sys.executable, "-S", "-s", "-B", "-c", f"import {', '.join(names)}"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "lib")},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr

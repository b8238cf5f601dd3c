# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import re
import subprocess
import tarfile

import pytest

from lab import cli, gpu
from lab.errors import LabError
from lab.gpu import FILES, PLACES, TABLE, Gpu


def test_a_gpu_is_the_same_every_time_and_like_no_other() -> None:
    assert Gpu(0).uuid == "GPU-83f8ee05-9260-57fc-a2b0-2864e8c02558"
    assert len({Gpu(index).uuid for index in range(gpu.MOST)}) == gpu.MOST
    assert re.fullmatch(
        r"1;GPU-[0-9a-f-]{36};EDGELLM LAB GPU \(stand-in\);\d+;[\d.]+\n", Gpu(1).line
    )


def test_a_box_gets_the_program_the_unit_and_the_table() -> None:
    with tarfile.open(fileobj=io.BytesIO(gpu.archive([Gpu(0), Gpu(1)]))) as tar:
        modes = {member.name: member.mode for member in tar}
        table = tar.extractfile(TABLE)
        assert table is not None
        assert table.read().decode() == Gpu(0).line + Gpu(1).line
    assert modes == {TABLE: 0o644, **dict(PLACES.values())}
    assert modes["usr/bin/nvidia-smi"] == 0o755


def test_the_unit_runs_the_script_where_it_is_put_before_any_engine() -> None:
    unit = (FILES / gpu.UNIT).read_text()
    assert f"ExecStart=/{PLACES['edgellm-lab-gpu'][0]}\n" in unit
    assert "Before=sysinit.target" in unit
    assert f"ConditionPathExists=/{TABLE}\n" in unit


@pytest.mark.parametrize("name", ["nvidia-smi", "edgellm-lab-gpu"])
def test_the_scripts_are_a_plain_shells(name: str) -> None:
    assert (FILES / name).stat().st_mode & 0o111 == 0o111
    subprocess.run(["sh", "-n", str(FILES / name)], check=True)


@pytest.mark.parametrize("count", [-1, 9])
def test_so_many_gpus_fit_no_box(count: int) -> None:
    with pytest.raises(LabError, match="0 to 8"):
        gpu.gpu("box1", count)


def test_a_box_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "inspect", lambda *_args: None)
    with pytest.raises(LabError, match="lab up --boxes box2"):
        gpu.gpu("box2", 1)


def test_the_command_says_what_was_plugged_in() -> None:
    told = {"box": "box1", "gpus": [{"index": 0, "uuid": "GPU-x", "name": "A GPU"}]}
    assert cli._in_words("gpu", told) == "GPU 0  GPU-x  A GPU"
    assert cli._in_words("gpu", {"box": "box1", "gpus": []}) == "box1 has no GPU"

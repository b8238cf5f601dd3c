# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with pretended GPUs in a folder; its device nodes are plain files."""

from __future__ import annotations

import json
import shutil
import typing as t
from pathlib import Path

import pytest

from lab.gpu import FILES, TABLE, Gpu

GPUS = [Gpu(0), Gpu(1)]
COMMON = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a machine with two GPUs; the stand-ins look there."""
    root = (tmp_path / "machine").resolve()
    for name in ("dev", "usr/bin", "etc/edgellm-lab", "run"):
        (root / name).mkdir(parents=True)
    shutil.copy(FILES / "nvidia-smi", root / "usr/bin/nvidia-smi")
    (root / TABLE).write_text("".join(gpu.line for gpu in GPUS))
    for name in (*COMMON, "nvidia0", "nvidia1"):
        (root / "dev" / name).touch(mode=0o644)
    monkeypatch.setenv("EDGELLM_LAB_ROOT", str(root))
    return root


@pytest.fixture
def mismatch(machine: Path) -> Path:
    """The same machine after the driver's libraries were replaced under the running kernel."""
    (machine / "etc/edgellm-lab/driver-mismatch").touch()
    return machine


@pytest.fixture
def bundle(tmp_path: Path) -> t.Callable[..., Path]:
    """Makes a container's bundle with the environment given."""

    def make(*environment: str) -> Path:
        folder = tmp_path / "bundle"
        folder.mkdir()
        config = {"process": {"env": list(environment)}, "root": {"path": "rootfs"}}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return make

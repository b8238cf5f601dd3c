# SPDX-License-Identifier: GPL-3.0-or-later
"""Which models count as lying on a GPU, and what holds the GPU meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from lab.gpu import FILES, Gpu
from lab.ollama import gpu

MODEL = "smollm2:135m"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = (tmp_path / "machine").resolve()
    (root / "dev").mkdir(parents=True)
    (root / "etc/edgellm-lab").mkdir(parents=True)
    (root / "etc/edgellm-lab/gpus").write_text(Gpu(0).line + Gpu(1).line)
    for name in ("nvidiactl", "nvidia0"):
        (root / "dev" / name).touch()
    monkeypatch.setenv("EDGELLM_LAB_ROOT", str(root))
    return root


@pytest.fixture
def model(ollama: t.Any) -> t.Any:
    ollama.install(MODEL)
    return ollama


def loaded(model: t.Any) -> dict[str, t.Any]:
    assert model.post("generate", model=MODEL).status_code == 200
    (entry,) = model.http.get("/api/ps").json()["models"]
    return dict(entry)


def unload(model: t.Any) -> None:
    model.post("generate", model=MODEL, keep_alive=0)
    deadline = time.monotonic() + 10
    while model.http.get("/api/ps").json()["models"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def seen_by_smi() -> list[str]:
    """The processes and their memory on GPUs, as the lab's nvidia-smi sees them."""
    fields = "--query-compute-apps=pid,gpu_uuid,used_memory"
    argv = ["sh", str(FILES / "nvidia-smi"), fields, "--format=csv,noheader,nounits"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def gpu_files() -> list[str]:
    """What this process has open of GPUs and their memory."""
    links = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own is closed by now
            links.append(str(file.readlink()))
    return [link for link in links if "edgellm-vram" in link or "/dev/nvidia" in link]


def test_a_loaded_model_lies_on_the_gpu_until_it_is_unloaded(machine: Path, model: t.Any) -> None:
    assert seen_by_smi() == []
    entry = loaded(model)
    assert entry["size_vram"] == entry["size"] > 0
    mib = -(-entry["size"] // (1 << 20))
    assert seen_by_smi() == [f"{os.getpid()}, {Gpu(0).uuid}, {mib}"]
    unload(model)
    assert seen_by_smi() == []
    assert gpu_files() == []


def test_a_gpu_that_cannot_be_opened_has_no_part_of_it(machine: Path, model: t.Any) -> None:
    (machine / "dev/nvidia0").unlink()
    (machine / "dev/nvidia0").mkdir()  # there, but nobody can open it for writing
    assert loaded(model)["size_vram"] == 0
    assert gpu_files() == []


def test_what_was_settled_at_loading_stays(machine: Path, model: t.Any) -> None:
    size = loaded(model)["size"]
    (machine / "dev/nvidia0").unlink()
    assert loaded(model)["size_vram"] == size
    unload(model)
    assert loaded(model)["size_vram"] == 0
    (machine / "dev/nvidia0").touch()
    assert loaded(model)["size_vram"] == 0


def test_memory_is_taken_without_being_used(machine: Path) -> None:
    hold = gpu.hold(1 << 40)
    try:
        assert hold.size == 1 << 40
        status = os.fstat(hold.files[-1])
        assert (status.st_size, status.st_blocks) == (1 << 40, 0)
    finally:
        hold.release()
    assert (hold.size, hold.files) == (0, [])


def test_only_nodes_of_gpus_count(machine: Path) -> None:
    (machine / "dev/nvidia1").touch()
    assert gpu.usable_nodes() == [f"{machine}/dev/nvidia{number}" for number in (0, 1)]
    assert gpu_files() == []

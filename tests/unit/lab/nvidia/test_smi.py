# SPDX-License-Identifier: GPL-3.0-or-later
"""The nvidia-smi stand-in, run by sh on a machine in a folder."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import typing as t
from pathlib import Path

import pytest

from lab.gpu import FILES, Gpu

UUIDS = [Gpu(0).uuid, Gpu(1).uuid]
MIB = 1 << 20


def smi(*arguments: str) -> tuple[int, str]:
    argv = ["sh", str(FILES / "nvidia-smi"), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def query(kind: str, fields: str, form: str = "csv,noheader,nounits") -> str:
    code, text = smi(f"--query-{kind}={fields}", f"--format={form}")
    assert code == 0
    return text


@contextlib.contextmanager
def on_gpus(machine: Path, *numbers: int, sizes: tuple[int, ...]) -> t.Iterator[int]:
    """Let this process hold GPUs and memory on them, as the Ollama stand-in does."""
    files = [os.open(machine / f"dev/nvidia{number}", os.O_RDWR) for number in numbers]
    for size in sizes:
        memory = os.memfd_create("edgellm-vram")
        os.ftruncate(memory, size)
        files.append(memory)
    try:
        yield os.getpid()
    finally:
        for file in files:
            os.close(file)


def test_the_gpus_are_listed(machine: Path) -> None:
    lines = [f"GPU {n}: {Gpu(n).name} (UUID: {uuid})\n" for n, uuid in enumerate(UUIDS)]
    assert smi("-L") == (0, "".join(lines))


def test_values_come_with_a_header_and_units_unless_told_otherwise(machine: Path) -> None:
    fields = "index,uuid,name,driver_version,memory.total,memory.used,power.draw"
    assert query("gpu", fields, "csv").splitlines()[:2] == [
        "index, uuid, name, driver_version, memory.total [MiB], memory.used [MiB], power.draw",
        f"0, {UUIDS[0]}, {Gpu(0).name}, {Gpu(0).driver}, 24576 MiB, 0 MiB, [N/A]",
    ]
    assert query("gpu", fields).splitlines() == [
        f"{n}, {uuid}, {Gpu(n).name}, {Gpu(n).driver}, 24576, 0, [N/A]"
        for n, uuid in enumerate(UUIDS)
    ]


@pytest.mark.parametrize("which", ["1", UUIDS[1], "00000000:02:00.0"])
def test_one_gpu_can_be_asked_for(machine: Path, which: str) -> None:
    assert smi("-i", which, "-L")[1].startswith("GPU 1: ")


def test_a_container_counts_the_gpus_that_it_was_given(machine: Path) -> None:
    (machine / "dev/nvidia0").unlink()
    assert query("gpu", "index,uuid,count") == f"0, {UUIDS[1]}, 1\n"


def test_a_process_is_on_the_gpu_that_it_has_open(machine: Path) -> None:
    apps = "pid,gpu_uuid,process_name,used_memory"
    assert query("compute-apps", apps) == ""
    with on_gpus(machine, 1, sizes=(10 * MIB + 1, MIB)) as pid:
        program = Path(f"/proc/{pid}/exe").readlink()
        assert query("compute-apps", apps) == f"{pid}, {UUIDS[1]}, {program}, 12\n"
        assert query("compute-apps", "pid,used_memory", "csv").splitlines() == [
            "pid, used_gpu_memory [MiB]",
            f"{pid}, 12 MiB",
        ]
        assert query("gpu", "memory.used,memory.free") == "0, 24576\n12, 24564\n"
    assert query("gpu", "memory.used") == "0\n0\n"


def test_memory_on_several_gpus_lies_on_them_in_equal_parts(machine: Path) -> None:
    with on_gpus(machine, 0, 1, sizes=(8 * MIB,)) as pid:
        rows = query("compute-apps", "pid,gpu_uuid,used_memory").splitlines()
    assert rows == [f"{pid}, {uuid}, 4" for uuid in UUIDS]


def test_the_table_says_that_it_is_a_stand_in(machine: Path) -> None:
    with on_gpus(machine, 0, sizes=(3 * MIB,)) as pid:
        code, table = smi()
    assert code == 0
    lines = table.splitlines()[1:]
    assert {len(line) for line in lines if line} == {91}
    assert "stand-in" in table
    assert f"Driver Version: {Gpu(0).driver}" in table
    assert any(f" {pid} " in line and " 3MiB |" in line for line in lines)
    assert "No running processes found" in smi()[1]


def test_no_node_of_the_driver_means_that_it_is_not_loaded(machine: Path) -> None:
    (machine / "dev/nvidiactl").unlink()
    code, text = smi("-L")
    assert code == 9
    assert text.startswith("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA")


def test_a_driver_without_gpus(machine: Path) -> None:
    for node in machine.glob("dev/nvidia[0-9]"):
        node.unlink()
    assert smi("-L") == (6, "No devices were found\n")


@pytest.mark.parametrize("name", ["nvidiactl", "nvidia1"])
def test_a_node_that_cannot_be_opened_is_an_unknown_error(
    machine: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "dev" / name).unlink()
    monkeypatch.chdir(machine / "dev")  # the whole path can be too long for a socket
    with socket.socket(socket.AF_UNIX) as refuses:
        refuses.bind(name)
        assert smi() == (255, "Failed to initialize NVML: Unknown Error\n")


def test_libraries_of_another_version_than_the_driver(mismatch: Path) -> None:
    code, text = smi("--query-gpu=index", "--format=csv")
    assert code == 18
    assert text.splitlines()[0] == "Failed to initialize NVML: Driver/library version mismatch"
    assert text.splitlines()[1].startswith("NVML library version: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--query-gpu=index,shoe_size", "--format=csv"], 'Field "shoe_size" is not a valid field'),
        (["--query-gpu=index"], "Invalid combination of input arguments"),
        (["--nonsense"], "Invalid combination of input arguments"),
        (["-l", "soon"], "Invalid combination of input arguments"),
    ],
)
def test_what_it_does_not_know(machine: Path, arguments: list[str], said: str) -> None:
    code, text = smi(*arguments)
    assert code == 2
    assert text.startswith(said)


def test_over_and_over(machine: Path) -> None:
    argv = ["sh", str(FILES / "nvidia-smi"), "--query-gpu=index", "--format=csv", "-l", "1"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(5)]
        process.kill()
    assert lines == ["index", "0", "1", "0", "1"]

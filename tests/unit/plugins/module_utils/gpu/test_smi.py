# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import functools
import re

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import programs, smi

from tests.unit.fake_nvidia import DATA, data

MIB = 1024 * 1024
UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"


def test_idle_gpu_is_read():
    assert smi.parse_gpus(data("gpus-rtx4060.txt")) == (
        smi.Gpu(0, UUID, "NVIDIA GeForce RTX 4060", "550.163.01", 8188 * MIB, 11 * MIB),
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("gpus-two", [(0, 20480, 18307), (1, 20480, 19534)]),
        ("gpus-h100", [(0, 81559, 1)]),
        ("gpus-mig", [(0, 81920, None)]),
        ("gpus-wsl2", [(0, 16380, 5815)]),
    ],
)
def test_memory_of_every_gpu_is_read(name, told):
    found = smi.parse_gpus(data(f"{name}.txt"))
    assert [(gpu.index, gpu.memory_total, gpu.memory_used) for gpu in found] == [
        (index, total * MIB, used and used * MIB) for index, total, used in told
    ]


def test_broken_gpus_are_listed_without_what_they_cannot_tell():
    good, broken, mute = smi.parse_gpus(data("gpus-errors.txt"))
    assert good.memory_used == MIB
    assert broken == smi.Gpu(1, "", "NVIDIA RTX 4000 Ada Generation", "570.133.20", None, None)
    assert mute == smi.Gpu(2, "", "", "", None, None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "processes-native",
            [
                smi.Process(4211, UUID, "/usr/bin/ollama", 5030 * MIB),
                smi.Process(55111, UUID, "/opt/my tools, old/bin/python3", 1012 * MIB),
            ],
        ),
        (
            "processes-no-memory",
            [
                smi.Process(
                    2136, UUID, "/usr/lib/ollama/runners/cuda_v12/ollama_llama_server", None
                ),
                smi.Process(2137, UUID, "", None),
            ],
        ),
        (
            "processes-mig",
            [
                smi.Process(
                    34965, "GPU-7fdaf0a5-179b-f636-d15d-daf243e3ff16", "python", 14195 * MIB
                ),
                smi.Process(
                    46505, "MIG-feb88891-0321-5fef-9c87-d4af3b54259e", "python", 9807 * MIB
                ),
            ],
        ),
        (
            "processes-wsl2",
            [smi.Process(203676, "GPU-b5e386b4-3e71-5837-aca5-80c5914cf07f", "", None)],
        ),
        ("processes-unsupported", []),
    ],
)
def test_processes_are_read(name, told):
    assert list(smi.parse_processes(data(f"{name}.txt"))) == told


ERRORS = {
    "no-devices": (6, smi.NO_DEVICES),
    "not-loaded": (9, smi.NOT_LOADED),
    "mismatch": (18, smi.MISMATCH),
    "unknown": (255, smi.UNKNOWN_ERROR),
    "permissions": (4, smi.NO_PERMISSION),
    "lost": (255, smi.FAILED),
    "no-library": (12, smi.FAILED),
}


@pytest.mark.parametrize(("name", "told"), ERRORS.items())
def test_errors_are_told_apart(name, told):
    status, code = told
    assert smi.classify(status, data(f"error-{name}.txt")) == code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (0, None),
        (2, smi.FAILED),
        (4, smi.NO_PERMISSION),
        (6, smi.NO_DEVICES),
        (9, smi.NOT_LOADED),
        (18, smi.MISMATCH),
        (255, smi.UNKNOWN_ERROR),
    ],
)
def test_exit_status_counts_where_the_words_say_nothing(status, code):
    assert smi.classify(status, "Something in another wording\n") == code


def test_no_devices_is_a_problem_whatever_the_status():
    assert smi.classify(0, data("error-no-devices.txt")) == smi.NO_DEVICES


def test_value_that_may_not_be_read_is_no_problem_of_all():
    assert smi.classify(0, data("gpus-mig.txt")) is None


def test_host_without_nvidia_smi_says_so(nvidia):
    found = smi.read(str(nvidia.root))
    assert found == smi.Smi(problem="not_installed", message="nvidia-smi is not installed")


def test_gpus_and_processes_are_asked_for(nvidia):
    nvidia.smi("gpus-rtx4060", "processes-native")
    found = smi.read(str(nvidia.root))
    assert found.program == str(nvidia.place("/usr/bin/nvidia-smi"))
    assert (found.problem, found.message) == (None, "")
    assert [gpu.uuid for gpu in found.gpus] == [UUID]
    assert [process.pid for process in found.processes] == [4211, 55111]


@pytest.mark.parametrize(("name", "told"), ERRORS.items())
def test_its_own_words_are_handed_on(nvidia, name, told):
    status, code = told
    nvidia.smi(f"error-{name}", status=status)
    found = smi.read(str(nvidia.root))
    assert (found.problem, found.gpus, found.processes) == (code, (), ())
    assert found.message == " ".join(data(f"error-{name}.txt").split("\n")).strip()


def test_gpus_that_answer_are_told_beside_one_that_is_lost(nvidia):
    nvidia.smi("gpus-two", status=15)
    found = smi.read(str(nvidia.root))
    assert found.problem == smi.FAILED
    assert len(found.gpus) == 2


def test_damaged_inforom_is_no_reason_not_to_serve(nvidia):
    nvidia.smi("gpus-two", status=14)
    found = smi.read(str(nvidia.root))
    assert (found.problem, len(found.gpus)) == (None, 2)


def test_warning_without_gpus_is_a_failure(nvidia):
    nvidia.smi("error-ctk", status=14)
    assert smi.read(str(nvidia.root)).problem == smi.FAILED


def test_one_that_hangs_is_told_as_such(nvidia):
    nvidia.hanging_smi()
    run = functools.partial(programs.run, seconds=0.2)
    found = smi.read(str(nvidia.root), run)
    assert found.problem == "timeout"
    assert "did not answer in time" in found.message


def test_every_data_file_names_its_source():
    index = (DATA / "README.md").read_text()
    listed = re.findall(r"^\| (composed-\S+) \|.*\| (\S.*) \|$", index, re.MULTILINE)
    files = sorted(f.name for f in DATA.iterdir() if f.name != "README.md")
    assert sorted(name for name, _source in listed) == files

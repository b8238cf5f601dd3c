# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml
from ansible_collections.edgellm.host.plugins.module_utils.gpu.findings import RULES
from ansible_collections.edgellm.host.plugins.modules import gpu_info

from tests.unit.fake_nvidia import FakeNvidia, data

DOCUMENTED = yaml.safe_load(gpu_info.RETURN)["gpu"]["contains"]


@pytest.fixture
def nvidia(tmp_path, monkeypatch):
    nvidia = FakeNvidia(tmp_path)
    monkeypatch.setattr(gpu_info, "ROOT", str(nvidia.root))
    return nvidia


@pytest.mark.parametrize("check_mode", [True, False])
def test_host_with_a_gpu_is_read_and_not_changed(nvidia, run_module, check_mode):
    nvidia.gpu_on_the_bus()
    nvidia.smi("gpus-two")
    nvidia.ctk()
    nvidia.write("/etc/cdi/nvidia.yaml", data("cdi-sorted.txt"))
    before = nvidia.files()
    result = run_module("gpu_info", check_mode=check_mode)
    assert not result["changed"]
    gpu = result["gpu"]
    assert [(g["index"], g["name"]) for g in gpu["gpus"]] == [
        (0, "NVIDIA GeForce RTX 3080"),
        (1, "NVIDIA GeForce RTX 3080"),
    ]
    assert [problem["code"] for problem in gpu["problems"]] == ["cdi_missing", "cdi_stray"]
    assert all(set(p) == {"code", "explanation", "remedy"} for p in gpu["problems"])
    assert nvidia.files() == before


def test_result_has_the_documented_keys(nvidia, run_module):
    nvidia.smi("gpus-rtx4060")
    gpu = run_module("gpu_info")["gpu"]
    assert set(gpu) == set(DOCUMENTED)
    for name in ("nvidia_smi", "cdi"):
        assert set(gpu[name]) == set(DOCUMENTED[name]["contains"])
    for name in ("gpus", "processes"):
        assert set(gpu[name][0]) == set(DOCUMENTED[name]["contains"])


def test_every_code_is_documented():
    text = DOCUMENTED["problems"]["contains"]["code"]["description"]
    assert [rule.__name__ for rule in RULES if f"V({rule.__name__})" not in text] == []


def test_another_file_can_be_asked_about(nvidia, run_module):
    nvidia.write("/etc/cdi/gpus.yaml", nvidia.ctk())
    cdi = run_module("gpu_info", cdi_path="/etc/cdi/gpus.yaml")["gpu"]["cdi"]
    assert (cdi["path"], cdi["present"], cdi["fresh"]) == ("/etc/cdi/gpus.yaml", True, True)


def test_machine_without_anything_of_nvidias_is_read(nvidia, run_module):
    gpu = run_module("gpu_info")["gpu"]
    assert (gpu["pci_devices"], gpu["gpus"], gpu["problems"]) == (0, [], [])

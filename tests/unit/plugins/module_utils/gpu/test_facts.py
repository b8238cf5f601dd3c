# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import facts

from tests.unit.fake_nvidia import data

WSL_KERNEL = "5.15.167.4-microsoft-standard-WSL2\n"


def read(nvidia):
    return facts.to_result(facts.read(str(nvidia.root)))


def test_host_without_a_gpu_has_nothing(nvidia):
    assert read(nvidia) == {
        "platform": "native",
        "pci_devices": 0,
        "driver_version": None,
        "nvidia_smi": {
            "program": None,
            "problem": "not_installed",
            "message": "nvidia-smi is not installed",
        },
        "gpus": [],
        "processes": [],
        "cdi": {
            "path": "/var/run/cdi/nvidia.yaml",
            "present": False,
            "fresh": False,
            "devices": [],
            "strays": [],
        },
        "toolkit": dict.fromkeys(facts.TOOLKIT),
    }


def test_host_with_a_gpu_is_told(nvidia):
    nvidia.gpu_on_the_bus()
    nvidia.smi("gpus-rtx4060")
    nvidia.packages(nvidia_container_toolkit="1.20.0-1", libnvidia_container1="1.20.0-1")
    nvidia.write("/var/run/cdi/nvidia.yaml", nvidia.ctk())
    nvidia.write("/etc/cdi/nvidia.yaml", data("cdi-sorted.txt"))
    told = read(nvidia)
    assert (told["pci_devices"], told["driver_version"]) == (1, "550.163.01")
    assert told["gpus"][0]["memory_total"] == 8188 * 1024 * 1024
    assert told["processes"][0]["name"] == "/usr/bin/ollama"
    assert told["cdi"] == {
        "path": "/var/run/cdi/nvidia.yaml",
        "present": True,
        "fresh": True,
        "devices": ["0", "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c", "all"],
        "strays": ["/etc/cdi/nvidia.yaml"],
    }
    assert told["toolkit"] == {
        "nvidia-container-toolkit": "1.20.0-1",
        "nvidia-container-toolkit-base": None,
        "libnvidia-container-tools": None,
        "libnvidia-container1": "1.20.0-1",
    }


@pytest.mark.parametrize("fresh", [None, "other"])
def test_file_that_is_not_known_to_fit_is_not_fresh(nvidia, fresh):
    nvidia.write("/var/run/cdi/nvidia.yaml", data("cdi-ordered.txt"))
    if fresh:
        nvidia.ctk(fresh)
    told = read(nvidia)["cdi"]
    assert (told["present"], told["fresh"]) == (True, False)


def test_wsl_is_told(nvidia):
    nvidia.write("/proc/sys/kernel/osrelease", WSL_KERNEL)
    assert read(nvidia)["platform"] == "wsl2"


@pytest.mark.parametrize(
    ("name", "version"), [("proprietary", "550.163.01"), ("open", "570.133.20")]
)
def test_loaded_module_tells_the_version_where_nvidia_smi_does_not(nvidia, name, version):
    nvidia.write("/proc/driver/nvidia/version", data(f"proc-version-{name}.txt"))
    nvidia.smi("error-mismatch", status=18)
    assert read(nvidia)["driver_version"] == version


def test_folders_work_without_ansible_and_under_another_name(tmp_path):
    """They are copied to hosts, where a timer runs them."""
    utils = Path(importlib.import_module(facts.__name__).__file__).parents[1]
    package = tmp_path / "somewhere"
    for folder in ("gpu", "host"):
        shutil.copytree(utils / folder, package / folder)
    for name in ("errors.py", "atomic.py"):
        shutil.copy(utils / name, package)
    names = sorted(f.stem for f in (package / "gpu").glob("*.py") if f.stem != "__init__")
    assert "facts" in names
    statements = "; ".join(f"import somewhere.gpu.{name}" for name in names)
    # -S leaves out what was installed beside Python.
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[0] = {str(tmp_path)!r}; {statements}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import pci


def device(tmp_path, address: str, vendor: str, kind: str) -> None:
    folder = tmp_path / "sys/bus/pci/devices" / address
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(f"{vendor}\n")
    (folder / "class").write_text(f"{kind}\n")


@pytest.mark.parametrize(
    ("vendor", "kind", "counts"),
    [
        ("0x10de", "0x030000", True),  # VGA controller
        ("0x10de", "0x030200", True),  # 3D controller, as data centre GPUs
        ("0x10de", "0x040300", False),  # the GPU's sound
        ("0x10de", "0x068000", False),  # an NVSwitch
        ("0x1002", "0x030000", False),  # another maker's GPU
        ("garbage", "0x030000", False),
    ],
)
def test_gpus_are_nvidias_display_devices(tmp_path, vendor, kind, counts):
    device(tmp_path, "0000:01:00.0", vendor, kind)
    assert pci.nvidia_devices(str(tmp_path)) == (["0000:01:00.0"] if counts else [])


def test_machine_without_a_pci_bus_has_none(tmp_path):
    assert pci.nvidia_devices(str(tmp_path)) == []


@pytest.mark.parametrize("place", ["usr/bin", "usr/lib/wsl/lib"])
def test_nvidia_smi_is_found(tmp_path, place):
    assert not pci.has_nvidia_smi(str(tmp_path))
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "nvidia-smi").touch()
    assert pci.has_nvidia_smi(str(tmp_path))

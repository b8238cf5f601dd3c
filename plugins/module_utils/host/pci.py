# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""NVIDIA GPUs on the PCI bus, read from sysfs without NVIDIA software. Private."""

from __future__ import annotations

from pathlib import Path

_NVIDIA = 0x10DE
# "Display"; the subclass must not matter: data centre GPUs call themselves "3D controller".
_DISPLAY = 0x03
_SMI = ("usr/bin/nvidia-smi", "usr/local/bin/nvidia-smi", "usr/lib/wsl/lib/nvidia-smi")


def nvidia_devices(root: str = "/") -> list[str]:
    """Bus addresses of the NVIDIA GPUs."""
    devices = sorted(Path(root, "sys/bus/pci/devices").glob("*"))
    return [
        device.name
        for device in devices
        if _number(device / "vendor") == _NVIDIA and _number(device / "class") >> 16 == _DISPLAY
    ]


def has_nvidia_smi(root: str = "/") -> bool:
    """Whether nvidia-smi is installed."""
    return any(Path(root, name).exists() for name in _SMI)


def _number(path: Path) -> int:
    try:
        return int(path.read_text("ascii").strip(), 16)
    except (OSError, ValueError):
        return 0

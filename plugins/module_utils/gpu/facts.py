# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole picture of a host's GPUs, as the module gpu_info returns it. Private."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..host import dpkg, os_release, pci
from . import cdi, programs, smi

TOOLKIT = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)
WSL2 = "wsl2"
NATIVE = "native"
_LOADED = re.compile(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)")


@dataclass(frozen=True)
class Facts:
    """What was read; findings are drawn from it and from nothing else."""

    platform: str
    pci_devices: int
    loaded_driver: str | None
    smi: smi.Smi
    cdi: cdi.Spec
    toolkit: dict[str, str | None]

    @property
    def driver_version(self) -> str | None:
        """The driver's version; of the loaded kernel module where nvidia-smi says none."""
        said = (gpu.driver_version for gpu in self.smi.gpus if gpu.driver_version)
        return next(said, self.loaded_driver)

    @property
    def has_gpu(self) -> bool:
        """Whether there is a GPU, whether or not it works."""
        return self.pci_devices > 0 or bool(self.smi.gpus)


def read(root: str = "/", run: programs.Run = programs.run, cdi_path: str | None = None) -> Facts:
    """Look at the host; changes nothing and needs no NVIDIA software."""
    return Facts(
        platform=WSL2 if os_release.is_wsl(root) else NATIVE,
        pci_devices=len(pci.nvidia_devices(root)),
        loaded_driver=loaded_driver(root),
        smi=smi.read(root, run),
        cdi=cdi.read(cdi_path, root=root, run=run),
        toolkit=dpkg.versions(TOOLKIT, root),
    )


def loaded_driver(root: str = "/") -> str | None:
    """Version of the kernel module that is loaded."""
    file = Path(root, "proc/driver/nvidia/version")
    said = _LOADED.search(file.read_text("utf-8", "replace")) if file.is_file() else None
    return said[1] if said else None


def to_result(facts: Facts) -> dict[str, Any]:
    """The facts in the words of gpu_info, without the findings."""
    found = facts.smi
    return {
        "platform": facts.platform,
        "pci_devices": facts.pci_devices,
        "driver_version": facts.driver_version,
        "nvidia_smi": {
            "program": found.program,
            "problem": found.problem,
            "message": found.message,
        },
        "gpus": [asdict(gpu) for gpu in found.gpus],
        "processes": [asdict(process) for process in found.processes],
        "cdi": {
            "path": facts.cdi.path,
            "present": facts.cdi.present is not None,
            "fresh": facts.cdi.present is not None
            and not facts.cdi.has(cdi.NOT_INSTALLED, cdi.FAILED, cdi.STALE),
            "devices": list(facts.cdi.devices),
            "strays": list(facts.cdi.strays),
        },
        "toolkit": facts.toolkit,
    }

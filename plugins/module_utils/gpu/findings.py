# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a host's GPUs, each with its cause and what to type. Private."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from . import cdi, smi
from .facts import WSL2, Facts

_REFRESH = f"sudo systemctl restart {cdi.SERVICE}"
_WINDOWS = (
    "Install the newest NVIDIA driver in Windows (never one inside WSL), then type in PowerShell: "
    "wsl --shutdown"
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    code: str
    explanation: str
    remedy: str


Rule = Callable[[Facts], "Finding | None"]


def findings(facts: Facts) -> list[Finding]:
    """Everything that is wrong, causes before what they cause."""
    return [found for rule in RULES if (found := rule(facts))]


def gpu_without_driver(facts: Facts) -> Finding | None:
    if facts.smi.program or not facts.pci_devices:
        return None
    return Finding(
        "gpu_without_driver",
        f"The PCI bus has {facts.pci_devices} NVIDIA GPU(s), but nvidia-smi is not installed: "
        "without NVIDIA's driver the models run on the CPU.",
        "Install the driver, then reboot. Ubuntu: sudo ubuntu-drivers install. Debian, with the "
        "components contrib and non-free in its sources: sudo apt install nvidia-driver",
    )


def driver_library_mismatch(facts: Facts) -> Finding | None:
    loaded = f" The kernel runs driver {facts.loaded_driver}." if facts.loaded_driver else ""
    return _smi(
        facts,
        smi.MISMATCH,
        "driver_library_mismatch",
        "The driver's libraries were upgraded, but the kernel still runs the previous driver."
        + loaded,
        _WINDOWS if facts.platform == WSL2 else "sudo reboot",
    )


def driver_not_loaded(facts: Facts) -> Finding | None:
    return _smi(
        facts,
        smi.NOT_LOADED,
        "driver_not_loaded",
        "The driver is installed, but the kernel has not loaded it.",
        _WINDOWS
        if facts.platform == WSL2
        else "sudo modprobe nvidia (its error says why it does not load). After an upgrade of the "
        "kernel: sudo apt install linux-headers-$(uname -r), then sudo dkms autoinstall",
    )


def nvml_unknown_error(facts: Facts) -> Finding | None:
    return _smi(
        facts,
        smi.UNKNOWN_ERROR,
        "nvml_unknown_error",
        "The driver is loaded, but its devices cannot be opened. In a container that means its "
        "access was revoked, on the host that the driver is not set up.",
        "sudo nvidia-modprobe -c 0 -u; if that changes nothing: sudo reboot",
    )


def no_permission(facts: Facts) -> Finding | None:
    return _smi(
        facts,
        smi.NO_PERMISSION,
        "no_permission",
        "This user may not use the GPU's devices.",
        "Run the task with become: true. If it was: ls -lZ /dev/nvidia* shows who may",
    )


def smi_timeout(facts: Facts) -> Finding | None:
    return _smi(
        facts,
        smi.TIMEOUT,
        "smi_timeout",
        "nvidia-smi hangs: the driver or the GPU does not answer any more.",
        "sudo dmesg | grep -iE 'xid|nvrm' says why; sudo reboot",
    )


def no_devices(facts: Facts) -> Finding | None:
    if not facts.pci_devices:
        # A driver on a host without a GPU does no harm.
        return None
    return _smi(
        facts,
        smi.NO_DEVICES,
        "no_devices",
        "The driver is loaded, but it drives no GPU of this host.",
        "sudo dmesg | grep -i nvrm says why: often the driver is too new or too old for the GPU, "
        "or of the wrong kind (open or proprietary)",
    )


def smi_failed(facts: Facts) -> Finding | None:
    return _smi(
        facts,
        smi.FAILED,
        "smi_failed",
        "nvidia-smi fails.",
        "nvidia-smi -q tells more, and sudo dmesg | grep -iE 'xid|nvrm'",
    )


def cdi_failed(facts: Facts) -> Finding | None:
    # Without a working driver its own finding says more.
    if facts.smi.problem or not facts.cdi.has(cdi.FAILED):
        return None
    return Finding(
        "cdi_failed",
        "nvidia-smi sees the GPU, but nvidia-ctk cannot describe it for containers: "
        + _reasons(facts, cdi.FAILED),
        "sudo nvidia-ctk --debug cdi generate",
    )


def cdi_missing(facts: Facts) -> Finding | None:
    if not _describable(facts) or not facts.cdi.has(cdi.MISSING):
        return None
    return Finding(
        "cdi_missing",
        f"{facts.cdi.path} is missing: containers that ask for a GPU by CDI do not start.",
        _refresh(facts),
    )


def cdi_stale(facts: Facts) -> Finding | None:
    if not _describable(facts) or not facts.cdi.has(cdi.STALE):
        return None
    return Finding(
        "cdi_stale",
        f"The CDI specification does not fit this host: {_reasons(facts, cdi.STALE)}. Containers "
        "that start now get wrong devices or libraries, or none.",
        _refresh(facts),
    )


def cdi_stray(facts: Facts) -> Finding | None:
    if not facts.cdi.program or not facts.cdi.strays:
        return None
    moves = (f"sudo mv {shlex.quote(f)} {shlex.quote(f + '.disabled')}" for f in facts.cdi.strays)
    return Finding(
        "cdi_stray",
        f"{', '.join(facts.cdi.strays)} describes GPUs beside {facts.cdi.path}: engines mix the "
        "two or refuse both, and nobody keeps the other one up to date.",
        "; ".join(moves),
    )


def toolkit_versions_differ(facts: Facts) -> Finding | None:
    installed = {name: version for name, version in facts.toolkit.items() if version}
    if len(set(installed.values())) <= 1:
        return None
    # The package that needs the others says which version was meant.
    wanted = installed.get("nvidia-container-toolkit") or max(installed.values())
    packages = " ".join(f"{name}={wanted}" for name in installed)
    return Finding(
        "toolkit_versions_differ",
        "The packages of the NVIDIA Container Toolkit are not of one version: "
        + ", ".join(f"{name} {version}" for name, version in installed.items())
        + ".",
        f"sudo apt install --allow-change-held-packages --allow-downgrades {packages}",
    )


RULES: tuple[Rule, ...] = (
    gpu_without_driver,
    driver_library_mismatch,
    driver_not_loaded,
    nvml_unknown_error,
    no_permission,
    smi_timeout,
    no_devices,
    smi_failed,
    toolkit_versions_differ,
    cdi_failed,
    cdi_missing,
    cdi_stale,
    cdi_stray,
)


def _smi(facts: Facts, problem: str, code: str, explanation: str, remedy: str) -> Finding | None:
    if facts.smi.problem != problem:
        return None
    return Finding(code, f"{explanation} nvidia-smi says: {facts.smi.message}", remedy)


def _describable(facts: Facts) -> bool:
    """Whether the specification can be judged: there is a GPU and a toolkit to describe it."""
    return facts.has_gpu and not facts.cdi.has(cdi.NOT_INSTALLED, cdi.FAILED)


def _reasons(facts: Facts, code: str) -> str:
    return "; ".join(problem.reason for problem in facts.cdi.problems if problem.code == code)


def _refresh(facts: Facts) -> str:
    if facts.cdi.serviced:
        return _REFRESH
    return f"sudo nvidia-ctk cdi generate --output={shlex.quote(facts.cdi.path)}"

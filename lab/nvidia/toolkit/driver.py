# SPDX-License-Identifier: GPL-3.0-or-later
"""The pretended driver: its GPUs and its device nodes, or why there is none."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

#: Where everything is looked for; the tests put a folder here.
ROOT_VARIABLE = "EDGELLM_LAB_ROOT"
SMI = "/usr/bin/nvidia-smi"
TABLE = "/etc/edgellm-lab/gpus"
MISMATCH = "/etc/edgellm-lab/driver-mismatch"
#: The nodes that every container with a GPU gets, if they are there.
COMMON = ("/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl")


class NoDriver(Exception):
    """The driver does not answer; the text is NVML's."""


class NoSuchGpu(Exception):
    """Somebody asked for a GPU that there is not; the text is its name."""


@dataclass(frozen=True)
class Gpu:
    """One GPU, and the path of its node."""

    index: str
    uuid: str

    @property
    def node(self) -> str:
        return f"/dev/nvidia{self.index}"


@dataclass(frozen=True)
class Node:
    """A device node as the kernel knows it; its numbers are 0 if it is no character device."""

    path: str
    major: int
    minor: int
    mode: int


def here(path: str) -> Path:
    """The path below the root that is looked at."""
    return Path(os.environ.get(ROOT_VARIABLE, "") + path)


def gpus() -> list[Gpu]:
    """The GPUs in the order of their indexes; NoDriver if the driver does not answer."""
    if not here(SMI).exists():
        raise NoDriver("ERROR_LIBRARY_NOT_FOUND")
    if here(MISMATCH).exists():
        raise NoDriver("Driver/library version mismatch")
    if not here("/dev/nvidiactl").exists():
        raise NoDriver("Driver Not Loaded")
    rows = (line.split(";") for line in here(TABLE).read_text(encoding="utf-8").splitlines())
    listed = (Gpu(row[0], row[1]) for row in rows if len(row) > 1)
    return [gpu for gpu in listed if here(gpu.node).exists()]


def wanted(names: list[str]) -> list[Gpu]:
    """The GPUs meant by indexes, UUIDs or `all`."""
    found = gpus()
    if "all" in names:
        return found
    for name in names:
        if not any(name in {gpu.index, gpu.uuid} for gpu in found):
            raise NoSuchGpu(name)
    return [gpu for gpu in found if {gpu.index, gpu.uuid} & set(names)]


def node(path: str) -> Node:
    status = here(path).stat()
    number = status.st_rdev if stat.S_ISCHR(status.st_mode) else 0
    return Node(path, os.major(number), os.minor(number), stat.S_IMODE(status.st_mode))


def common_nodes() -> list[Node]:
    return [node(path) for path in COMMON if here(path).exists()]

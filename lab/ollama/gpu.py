# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs a loaded model counts as lying on: only those whose device node admits this process."""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

#: By this name the lab's nvidia-smi knows what stands for memory of a GPU.
MEMORY = "edgellm-vram"


@dataclasses.dataclass
class Held:
    """The memory on GPUs that one model takes, and the open files that stand for it."""

    size: int = 0
    files: list[int] = dataclasses.field(default_factory=list)

    def release(self) -> None:
        while self.files:
            os.close(self.files.pop())
        self.size = 0


def usable_nodes() -> list[str]:
    """The device nodes of GPUs that this process can open."""
    usable = []
    for node, file in _opened():
        os.close(file)
        usable.append(node)
    return usable


def hold(size: int) -> Held:
    """Take memory for a model on every GPU that can be opened; without one, none is taken."""
    held = Held(files=[file for _node, file in _opened()])
    if held.files:
        memory = os.memfd_create(MEMORY)
        os.ftruncate(memory, size)
        held.files.append(memory)
        held.size = size
    return held


def _opened() -> t.Iterator[tuple[str, int]]:
    devices = Path(os.environ.get("EDGELLM_LAB_ROOT", "/"), "dev")
    for node in sorted(map(str, devices.glob("nvidia[0-9]*"))):
        try:
            file = os.open(node, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        yield node, file

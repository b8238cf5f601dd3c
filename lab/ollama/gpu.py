# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a model counts as lying on a GPU: only what a device node really admits."""

from __future__ import annotations

import os
from pathlib import Path


def gpu_nodes() -> list[str]:
    """Return the NVIDIA device nodes that this process can open."""
    usable = []
    for node in sorted(map(str, Path("/dev").glob("nvidia[0-9]*"))):
        try:
            os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC))
        except OSError:
            continue
        usable.append(node)
    return usable


def gpu_share() -> float:
    """Return the share of a loaded model that is reported as `size_vram`: all of it, or nothing."""
    return 1.0 if gpu_nodes() else 0.0

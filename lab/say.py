# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress for a person: one plain line per step, with the seconds since the start."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()
_stream = sys.stdout


def to_stderr() -> None:
    """Keep standard output for a machine-readable result."""
    global _stream
    _stream = sys.stderr


def elapsed() -> float:
    return time.monotonic() - _started


def step(text: str) -> None:
    print(f"[{elapsed():5.0f} s] {text}", file=_stream, flush=True)


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"

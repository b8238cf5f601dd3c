# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what happens by itself."""

from __future__ import annotations

import time
import typing as t


def until(happened: t.Callable[[], t.Any], *, seconds: float = 20.0) -> None:
    """Return as soon as it has happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)

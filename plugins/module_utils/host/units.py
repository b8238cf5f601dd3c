# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""State of systemd units, one process for all of them. Private."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

_DIRECTORIES = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
Run = Callable[[Sequence[str]], str]


def systemd_runs(root: str = "/") -> bool:
    """Whether systemd is the system's manager, not merely installed (what sd_booted(3) asks)."""
    return Path(root, "run/systemd/system").is_dir()


def _run(command: Sequence[str]) -> str:
    return subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout


def states(names: Sequence[str], root: str = "/", run: Run = _run) -> dict[str, dict[str, str]]:
    """Load state and active state of each unit, in systemd's words."""
    if not names:
        return {}
    if not systemd_runs(root):
        return {name: {"load": load_state(name, root), "active": "inactive"} for name in names}
    answer = run(["systemctl", "show", "--property=LoadState,ActiveState", "--", *names])
    said = [_properties(block) for block in answer.split("\n\n")]
    return {
        name: {"load": properties["LoadState"], "active": properties["ActiveState"]}
        for name, properties in zip(names, said, strict=True)
    }


def _properties(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines())


def load_state(name: str, root: str = "/") -> str:
    """Whether there is such a unit, by its file alone."""
    name = name if "." in name else f"{name}.service"
    for directory in _DIRECTORIES:
        unit = Path(root, directory, name)
        if unit.is_symlink() and str(unit.readlink()) == "/dev/null":
            return "masked"
        if unit.is_symlink() or unit.is_file():
            return "loaded"
    return "not-found"

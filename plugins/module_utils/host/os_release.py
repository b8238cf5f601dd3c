# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which operating system this is. Private."""

from __future__ import annotations

import shlex
from pathlib import Path

_FILES = ("etc/os-release", "usr/lib/os-release")


def parse(text: str) -> dict[str, str]:
    """The assignments of an os-release file, unquoted; lines that are none are skipped."""
    found = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition("=")
        if not separator or key.startswith("#"):
            continue
        try:
            found[key] = "".join(shlex.split(value))
        except ValueError:
            found[key] = value.strip("\"'")
    return found


def read(root: str = "/") -> dict[str, str]:
    """Id, version, code name and name of the system; empty text for what it does not say."""
    file = next((file for name in _FILES if (file := Path(root, name)).is_file()), None)
    said = parse(file.read_text("utf-8", "replace")) if file else {}
    return {
        "id": said.get("ID", ""),
        "version_id": said.get("VERSION_ID", ""),
        "codename": said.get("VERSION_CODENAME", "") or said.get("UBUNTU_CODENAME", ""),
        "pretty_name": said.get("PRETTY_NAME", ""),
    }


def memory_bytes(root: str = "/") -> int:
    """Main memory of the machine."""
    lines = Path(root, "proc/meminfo").read_text("ascii", "replace").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))


def is_wsl(root: str = "/") -> bool:
    """Whether the kernel is the one of the Windows Subsystem for Linux."""
    kernel = Path(root, "proc/sys/kernel/osrelease")
    return kernel.is_file() and "microsoft" in kernel.read_text("utf-8", "replace").lower()

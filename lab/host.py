# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of machine this is: cgroups, capabilities, init, distribution."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

_CAP_SYS_RESOURCE = 24


@dataclass(frozen=True)
class Host:
    cgroup: int
    has_sys_resource: bool
    systemd: bool
    root: bool
    distribution: str

    @property
    def apt(self) -> bool:
        return self.distribution in {"debian", "ubuntu"}


def detect(root: Path = Path("/"), uid: int | None = None) -> Host:
    return Host(
        cgroup=2 if (root / "sys/fs/cgroup/cgroup.controllers").exists() else 1,
        has_sys_resource=_has_sys_resource(root / "proc/1/status"),
        systemd=(root / "run/systemd/system").is_dir(),
        root=(os.geteuid() if uid is None else uid) == 0,
        distribution=_distribution(root / "etc/os-release"),
    )


def _has_sys_resource(status: Path) -> bool:
    """Whether the bounding set of the machine's first process allows what --privileged asks for."""
    for line in status.read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return True


def _distribution(os_release: Path) -> str:
    """The family that decides which package manager there is: debian, ubuntu, or another's ID."""
    if not os_release.exists():
        return "unknown"
    fields = dict(line.split("=", 1) for line in os_release.read_text().splitlines() if "=" in line)
    ids = [_unquote(fields.get("ID", "unknown")), *_unquote(fields.get("ID_LIKE", "")).split()]
    return next((i for i in ids if i in {"debian", "ubuntu"}), ids[0])


def _unquote(value: str) -> str:
    return " ".join(shlex.split(value))

# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of machine this is: cgroups, capabilities, init, distribution."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

#: In the order of their numbers in the kernel.
CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID"),
    *("SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW"),
    *("IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD"),
    *("LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)


@dataclass(frozen=True)
class Host:
    cgroup: int
    #: What a container can be given here, and whether that is all the kernel knows.
    capabilities: tuple[str, ...]
    unrestricted: bool
    systemd: bool
    root: bool
    distribution: str

    @property
    def apt(self) -> bool:
        return self.distribution in {"debian", "ubuntu"}


def detect(root: Path = Path("/"), uid: int | None = None) -> Host:
    bounding = _bounding_set(root / "proc/1/status")
    known = int((root / "proc/sys/kernel/cap_last_cap").read_text()) + 1
    return Host(
        cgroup=2 if (root / "sys/fs/cgroup/cgroup.controllers").exists() else 1,
        capabilities=tuple(n for i, n in enumerate(CAPABILITIES) if bounding >> i & 1),
        unrestricted=bounding & (1 << known) - 1 == (1 << known) - 1,
        systemd=(root / "run/systemd/system").is_dir(),
        root=(os.geteuid() if uid is None else uid) == 0,
        distribution=_distribution(root / "etc/os-release"),
    )


def _bounding_set(status: Path) -> int:
    """The most that the machine's first process, and so anything on it, can have."""
    line = next(line for line in status.read_text().splitlines() if line.startswith("CapBnd:"))
    return int(line.split()[1], 16)


def _distribution(os_release: Path) -> str:
    """The family that decides which package manager there is: debian, ubuntu, or another's ID."""
    if not os_release.exists():
        return "unknown"
    fields = dict(line.split("=", 1) for line in os_release.read_text().splitlines() if "=" in line)
    ids = [_unquote(fields.get("ID", "unknown")), *_unquote(fields.get("ID_LIKE", "")).split()]
    return next((i for i in ids if i in {"debian", "ubuntu"}), ids[0])


def _unquote(value: str) -> str:
    return " ".join(shlex.split(value))

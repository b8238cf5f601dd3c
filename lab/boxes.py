# SPDX-License-Identifier: GPL-3.0-or-later
"""The boxes: fresh machines in containers, systemd as the first process, an engine of their own."""

from __future__ import annotations

import time
from collections.abc import Mapping

from lab import build, containers, sh
from lab.containers import Container, volume
from lab.docker import Present
from lab.errors import LabError
from lab.host import Host
from lab.names import BOXES, box_container

_BOOTED = {"running", "degraded"}
_BOOT_WITHIN = 90.0


def options(host: Host) -> tuple[str, ...]:
    """What lets systemd and a nested engine run, on this machine's kind of cgroups."""
    always = (
        *("--tmpfs", "/run", "--tmpfs", "/run/lock"),
        *(*volume(None, "/var/lib/docker"), *volume(None, "/var/lib/containerd")),
        *("--stop-signal", "SIGRTMIN+3"),
    )
    if host.cgroup == 2:
        return (*_privileges(host), "--cgroupns=private", *always)
    # With a private cgroup namespace the v1 mounts are read-only and the inner engine cannot use
    # them; systemd >= 256 wants to be told that v1 is meant.
    return (
        *_privileges(host),
        "--cgroupns=host",
        *("--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
        *("--env", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"),
        *always,
    )


# Engines up to 20.10 refuse these names, and nothing in a box needs them.
_TOO_NEW = ("PERFMON", "BPF", "CHECKPOINT_RESTORE")


def _privileges(host: Host) -> tuple[str, ...]:
    if host.unrestricted:
        return ("--privileged",)
    # --privileged asks for every capability, and fails on a machine that itself lacks one. Naming
    # those that there are is understood by old and new engines alike; "all but one" is not.
    return (
        *(
            word
            for name in host.capabilities
            if name not in _TOO_NEW
            for word in ("--cap-add", name)
        ),
        *("--security-opt", "seccomp=unconfined"),
        *("--security-opt", "apparmor=unconfined"),
        *("--security-opt", "systempaths=unconfined"),
        *("--device-cgroup-rule", "a *:* rwm"),
    )


def box(name: str, kind: str, host: Host) -> Container:
    return Container(
        name=box_container(name),
        image=build.tag(kind),
        kind=kind,
        address=BOXES[name],
        aliases=(f"{name}.lab",),
        options=("--hostname", name, *options(host)),
    )


def reset(wanted: list[Container], present: Mapping[str, Present]) -> None:
    """Throw the boxes away, with all that was done to them, and make them anew."""
    containers.remove(container.name for container in wanted if container.name in present)
    containers.apply(containers.Step("create", container) for container in wanted)


def wait(names: list[str]) -> None:
    """Until every box named (by its container) has booted."""
    deadline = time.monotonic() + _BOOT_WITHIN
    for name in names:
        state = ""
        while state not in _BOOTED:
            if time.monotonic() > deadline:
                raise LabError(f"{name} did not boot (systemd says: {state or 'nothing'})")
            argv = ["docker", "exec", name, "systemctl", "is-system-running", "--wait"]
            done = sh.capture(argv, check=False)
            state = done.stdout.strip() or done.stderr.strip()
            if state not in _BOOTED:
                time.sleep(0.1)

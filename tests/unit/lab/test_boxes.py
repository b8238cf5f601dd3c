# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools

import pytest

from lab import boxes
from lab.host import CAPABILITIES, Host


def host(*, cgroup: int = 2, unrestricted: bool = True) -> Host:
    return Host(
        cgroup=cgroup,
        capabilities=tuple(n for n in CAPABILITIES if unrestricted or n != "SYS_RESOURCE"),
        unrestricted=unrestricted,
        systemd=True,
        root=True,
        distribution="debian",
    )


def options(*, cgroup: int, unrestricted: bool) -> tuple[str, ...]:
    return boxes.options(host(cgroup=cgroup, unrestricted=unrestricted))


def test_new_cgroups_need_no_mount_of_the_machines_own() -> None:
    found = options(cgroup=2, unrestricted=True)
    assert "--privileged" in found
    assert "--cgroupns=private" in found
    assert not any("/sys/fs/cgroup" in word for word in found)


def test_old_cgroups_are_the_machines_own() -> None:
    found = options(cgroup=1, unrestricted=True)
    assert "--privileged" in found
    assert "--cgroupns=host" in found
    assert "/sys/fs/cgroup:/sys/fs/cgroup:rw" in found
    assert "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" in found


@pytest.mark.parametrize("cgroup", [1, 2])
def test_a_missing_capability_is_left_out_and_not_asked_for(cgroup: int) -> None:
    found = options(cgroup=cgroup, unrestricted=False)
    assert "--privileged" not in found
    added = [after for word, after in itertools.pairwise(found) if word == "--cap-add"]
    too_new_for_old_engines = {"PERFMON", "BPF", "CHECKPOINT_RESTORE"}
    assert set(added) == set(CAPABILITIES) - {"SYS_RESOURCE"} - too_new_for_old_engines
    assert "--cap-drop" not in found  # recent engines refuse to drop what is not there
    assert "a *:* rwm" in found


@pytest.mark.parametrize("cgroup", [1, 2])
def test_the_inner_engine_writes_to_volumes_that_go_with_the_box(cgroup: int) -> None:
    mounts = [word for word in options(cgroup=cgroup, unrestricted=True) if "type=volume" in word]
    assert [mount for mount in mounts if "destination=/var/lib/docker," in mount]
    assert [mount for mount in mounts if "destination=/var/lib/containerd," in mount]
    assert not [mount for mount in mounts if "source=" in mount]


def test_a_box_is_named_and_addressed_as_the_inventories_say() -> None:
    box = boxes.box("bookworm", "bookworm", host())
    assert (box.name, box.address) == ("edgellm-lab-bookworm", "198.18.77.21")
    assert box.image.startswith("edgellm-lab/bookworm:")
    assert box.aliases == ("bookworm.lab",)

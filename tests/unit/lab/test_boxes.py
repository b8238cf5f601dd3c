# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from lab import boxes
from lab.host import Host


def options(*, cgroup: int, has_sys_resource: bool) -> tuple[str, ...]:
    return boxes.options(
        Host(
            cgroup=cgroup,
            has_sys_resource=has_sys_resource,
            systemd=True,
            root=True,
            distribution="debian",
        )
    )


def test_new_cgroups_need_no_mount_of_the_machines_own() -> None:
    found = options(cgroup=2, has_sys_resource=True)
    assert "--privileged" in found
    assert "--cgroupns=private" in found
    assert not any("/sys/fs/cgroup" in word for word in found)


def test_old_cgroups_are_the_machines_own() -> None:
    found = options(cgroup=1, has_sys_resource=True)
    assert "--privileged" in found
    assert "--cgroupns=host" in found
    assert "/sys/fs/cgroup:/sys/fs/cgroup:rw" in found
    assert "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" in found


@pytest.mark.parametrize("cgroup", [1, 2])
def test_a_missing_capability_is_left_out_and_not_asked_for(cgroup: int) -> None:
    found = options(cgroup=cgroup, has_sys_resource=False)
    assert "--privileged" not in found
    assert found[found.index("--cap-drop") + 1] == "SYS_RESOURCE"
    assert "a *:* rwm" in found


@pytest.mark.parametrize("cgroup", [1, 2])
def test_the_inner_engine_writes_to_volumes_that_go_with_the_box(cgroup: int) -> None:
    mounts = [
        word for word in options(cgroup=cgroup, has_sys_resource=True) if "type=volume" in word
    ]
    assert [mount for mount in mounts if "destination=/var/lib/docker," in mount]
    assert [mount for mount in mounts if "destination=/var/lib/containerd," in mount]
    assert not [mount for mount in mounts if "source=" in mount]


def test_a_box_is_named_and_addressed_as_the_inventories_say() -> None:
    host = Host(cgroup=2, has_sys_resource=True, systemd=True, root=True, distribution="debian")
    box = boxes.box("bookworm", "bookworm", host)
    assert (box.name, box.address) == ("edgellm-lab-bookworm", "198.18.77.21")
    assert box.image.startswith("edgellm-lab/bookworm:")
    assert box.aliases == ("bookworm.lab",)

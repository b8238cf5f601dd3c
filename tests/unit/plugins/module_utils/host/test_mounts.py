# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import mounts

MOUNTINFO = """\
22 1 0:21 / / rw,relatime shared:1 - overlay overlay rw
30 22 8:1 / /srv rw - ext4 /dev/sda1 rw
31 22 8:2 / /srv/edgellm rw shared:2 master:3 - xfs /dev/sdb1 rw
32 22 8:3 / /mnt/my\\040disk rw - ext4 /dev/sdc1 rw
33 22 0:5 / /lib/over rw - autofs systemd-1 rw
34 33 8:4 / /lib/over rw - btrfs /dev/sdd1 rw
"""


@pytest.fixture
def root(tmp_path):
    info = tmp_path / "proc/self/mountinfo"
    info.parent.mkdir(parents=True)
    info.write_text(MOUNTINFO)
    (tmp_path / "srv/edgellm/data").mkdir(parents=True)
    (tmp_path / "data").symlink_to("srv/edgellm/data")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("path", "exists", "mount_point", "is_mount", "fstype"),
    [
        ("/srv/edgellm", True, "/srv/edgellm", True, "xfs"),
        ("/srv/edgellm/", True, "/srv/edgellm", True, "xfs"),
        ("/srv/edgellm/models/a/b", False, "/srv/edgellm", False, "xfs"),
        ("/srv/edgellm2", False, "/srv", False, "ext4"),
        ("/data", True, "/srv/edgellm", False, "xfs"),
        ("/mnt/my disk/x", False, "/mnt/my disk", False, "ext4"),
        ("/lib/over", False, "/lib/over", True, "btrfs"),
        ("/opt", False, "/", False, "overlay"),
        ("/", True, "/", True, "overlay"),
    ],
)
def test_path_is_located(root, path, exists, mount_point, is_mount, fstype):
    place = mounts.locate(path, root)
    assert (place.exists, place.mount_point, place.is_mount, place.fstype) == (
        exists,
        mount_point,
        is_mount,
        fstype,
    )


def test_space_is_that_of_the_file_system(root):
    place = mounts.locate("/not/there/yet", root)
    real = os.statvfs(root)
    assert place.total_bytes == real.f_blocks * real.f_frsize
    assert 0 < place.free_bytes <= place.total_bytes


def test_real_root_is_a_mount_point():
    assert mounts.locate("/").is_mount

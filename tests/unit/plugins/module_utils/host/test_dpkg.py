# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import dpkg

STATUS = """\
Package: docker.io
Status: install ok installed
Architecture: amd64
Version: 26.1.5+dfsg1-9
Description: Linux container runtime
 Version: 99 is only text here

Package: docker-ce
Status: hold ok installed
Version: 5:29.7.2-1~debian.13~trixie

Package: podman-docker
Status: deinstall ok config-files
Version: 5.4

Package: runc
Status: install ok half-configured
Version: 1.1

Package: libc6
Status: deinstall ok config-files
Architecture: i386
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2
"""


@pytest.fixture
def root(tmp_path):
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(STATUS)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("docker.io", "26.1.5+dfsg1-9"),
        ("docker-ce", "5:29.7.2-1~debian.13~trixie"),
        ("podman-docker", None),
        ("runc", None),
        ("libc6", "2"),
        ("docker", None),
    ],
)
def test_version_is_that_of_what_is_installed(root, package, version):
    assert dpkg.versions([package], root) == {package: version}


def test_answers_come_for_all_names_in_their_order(root):
    assert list(dpkg.versions(["runc", "docker.io"], root)) == ["runc", "docker.io"]


def test_nothing_is_installed_where_there_is_no_dpkg(tmp_path):
    assert dpkg.versions(["docker.io"], str(tmp_path)) == {"docker.io": None}


def test_held_is_what_is_installed_and_on_hold(root):
    assert dpkg.held(["libc6", "docker-ce", "podman-docker", "docker"], root) == ["docker-ce"]

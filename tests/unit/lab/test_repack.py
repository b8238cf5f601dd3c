# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from lab.apt import format_control, parse_control
from lab.repack import RECIPES, dockers_version, relabelled

DOCKER_IO = """\
Package: docker.io
Source: docker.io (26.1.5+dfsg1-9+deb13u1)
Version: 26.1.5+dfsg1-9+deb13u1+b1
Architecture: amd64
Maintainer: Somebody <somebody@debian.invalid>
Installed-Size: 100
Depends: libc6 (>= 2.34), adduser, containerd (>= 1.4~), iptables, runc (>= 1.0.0~rc8~), tini
Recommends: apparmor, docker-cli
Conflicts: docker-ce, docker-ce-rootless-extras
Description: Linux container runtime
 More words.
 .
 And more.
"""
CONTAINERD = """\
Package: containerd
Version: 1.7.24~ds1-6+deb13u1
Architecture: amd64
Installed-Size: 30
Depends: runc (>= 0.1.0~), libc6 (>= 2.34)
Description: runtime
"""
RUNC = """\
Package: runc
Version: 1.1.15+ds1-2+b4
Architecture: amd64
Installed-Size: 12
Depends: libc6 (>= 2.38), libseccomp2 (>= 2.5.0)
Description: spawn containers
"""
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


@pytest.mark.parametrize(
    ("debian", "epoch", "expected"),
    [
        ("26.1.5+dfsg1-9+deb13u1+b1", "5:", "5:26.1.5-1~debian.13~trixie"),
        ("1.7.24~ds1-6+deb13u1", "", "1.7.24-1~debian.13~trixie"),
        ("1:2.26.1-4", "", "2.26.1-1~debian.13~trixie"),
    ],
)
def test_versions_are_written_as_docker_writes_them(debian: str, epoch: str, expected: str) -> None:
    assert dockers_version(debian, epoch) == expected


def test_control_fields_survive_reading_and_writing() -> None:
    assert format_control(parse_control(DOCKER_IO)) == DOCKER_IO


def test_the_engine_asks_for_dockers_packages_and_conflicts_with_debians() -> None:
    fields = relabelled(BY_NAME["docker-ce"], [parse_control(DOCKER_IO)])
    assert fields["Package"] == "docker-ce"
    assert fields["Depends"].split(", ") == [
        "libc6 (>= 2.34)",
        "adduser",
        "iptables",
        "tini",
        "containerd.io",
        "docker-ce-cli",
    ]
    assert "docker.io" in fields["Conflicts"]
    assert "docker-ce" not in fields["Conflicts"]
    assert "Source" not in fields


def test_two_packages_become_one() -> None:
    fields = relabelled(BY_NAME["containerd.io"], [parse_control(CONTAINERD), parse_control(RUNC)])
    assert fields["Depends"] == "libc6 (>= 2.34), libc6 (>= 2.38), libseccomp2 (>= 2.5.0)"
    assert fields["Provides"] == fields["Conflicts"] == fields["Replaces"] == "containerd, runc"
    assert fields["Installed-Size"] == "42"


def test_the_package_says_what_it_is() -> None:
    fields = relabelled(BY_NAME["docker-ce"], [parse_control(DOCKER_IO)])
    assert "for tests only" in fields["Description"]
    assert "not Docker" in fields["Maintainer"]

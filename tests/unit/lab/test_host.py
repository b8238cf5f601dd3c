# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from lab.host import CAPABILITIES, Host, detect

ALL_CAPABILITIES = "000001ffffffffff"
WITHOUT_SYS_RESOURCE = "000001fffeffffff"


def machine(
    root: Path, *, caps: str = ALL_CAPABILITIES, v2: bool = True, os_release: str = "ID=debian\n"
) -> Path:
    for folder in ("sys/fs/cgroup/memory", "proc/1", "proc/sys/kernel", "etc"):
        (root / folder).mkdir(parents=True)
    if v2:
        (root / "sys/fs/cgroup/cgroup.controllers").write_text("cpu memory\n")
    (root / "proc/sys/kernel/cap_last_cap").write_text("40\n")
    (root / "proc/1/status").write_text(f"Name:\tinit\nCapEff:\t0\nCapBnd:\t{caps}\n")
    (root / "etc/os-release").write_text(os_release)
    return root


def test_an_ordinary_desktop(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    found = detect(
        machine(tmp_path, os_release='NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'), uid=1000
    )
    assert found == Host(
        cgroup=2,
        capabilities=CAPABILITIES,
        unrestricted=True,
        systemd=True,
        root=False,
        distribution="ubuntu",
    )


def test_a_restricted_machine_with_the_old_cgroups(tmp_path: Path) -> None:
    found = detect(machine(tmp_path, caps=WITHOUT_SYS_RESOURCE, v2=False), uid=0)
    assert (found.cgroup, found.unrestricted, found.systemd, found.root) == (1, False, False, True)
    assert set(CAPABILITIES) - set(found.capabilities) == {"SYS_RESOURCE"}


@pytest.mark.parametrize(
    ("os_release", "family", "apt"),
    [
        ("ID=debian\n", "debian", True),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', "ubuntu", True),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "rocky", False),
        ("# nothing\n", "unknown", False),
    ],
)
def test_the_package_manager_follows_the_family(
    tmp_path: Path, os_release: str, family: str, apt: bool
) -> None:
    found = detect(machine(tmp_path, os_release=os_release), uid=0)
    assert (found.distribution, found.apt) == (family, apt)

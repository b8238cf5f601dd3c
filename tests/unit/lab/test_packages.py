# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from lab import packages, state
from lab.errors import LabError
from lab.host import Host

SIMULATED_INSTALL = """\
NOTE: This is only a simulation!
Inst runc (1.1.5+ds1-1+deb12u1 Debian:12.11/stable [amd64])
Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.11/stable [amd64]) [libc6-dev:amd64 ]
Inst containerd (1.6.20~ds1-1+deb12u3 Debian:12.11/stable [amd64])
Conf runc (1.1.5+ds1-1+deb12u1 Debian:12.11/stable [amd64])
"""
SIMULATED_PURGE = """\
Purg docker.io [20.10.24+dfsg1-1+deb12u1+b6]
Remv somebodys-tool [1.0]
Purg iptables [1.8.9-2]
"""


def host(*, root: bool, distribution: str = "debian") -> Host:
    return Host(
        cgroup=2,
        capabilities=(),
        unrestricted=True,
        systemd=True,
        root=root,
        distribution=distribution,
    )


@pytest.fixture(autouse=True)
def _no_machine_is_touched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(state, "MACHINE", tmp_path / "machine")
    monkeypatch.setattr(state, "LOCAL", tmp_path / "local")


def test_what_would_be_upgraded_is_not_what_would_come() -> None:
    assert packages.newly_installed(SIMULATED_INSTALL) == ["containerd", "runc"]


def test_everything_that_would_go_is_seen() -> None:
    assert packages.removed(SIMULATED_PURGE) == {"docker.io", "somebodys-tool", "iptables"}


def test_somebody_elses_machine_gets_a_command_to_type_and_nothing_installed() -> None:
    with pytest.raises(LabError, match=r"sudo apt-get install --no-install-recommends docker.io"):
        packages.install(host(root=False), "container engine", ["docker.io"])
    assert state.read() == {}


def test_without_apt_the_packages_are_named() -> None:
    with pytest.raises(LabError, match="please install mmdebstrap"):
        packages.install(host(root=True, distribution="rocky"), "image builder", ["mmdebstrap"])


def test_what_comes_is_recorded_before_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(packages, "_simulated", lambda _wanted: ["containerd", "runc"])
    monkeypatch.setattr(packages, "_apt", killed)
    with pytest.raises(KeyboardInterrupt):
        packages.install(host(root=True), "container engine", ["docker.io"])
    assert state.read() == {"packages": {"container engine": ["containerd", "runc"]}}


def test_a_second_run_adds_to_the_record_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    state.update(packages={"container engine": ["runc"], "image builder": ["mmdebstrap"]})
    monkeypatch.setattr(packages, "_simulated", lambda _wanted: ["docker.io"])
    monkeypatch.setattr(packages, "_apt", lambda *_args, **_options: None)
    packages.install(host(root=True), "container engine", ["docker.io"])
    assert state.read()["packages"] == {
        "container engine": ["docker.io", "runc"],
        "image builder": ["mmdebstrap"],
    }

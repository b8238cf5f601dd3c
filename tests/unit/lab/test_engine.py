# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules about somebody else's engine; the engine itself is met by the lab's own tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import docker, engine, packages, state
from lab.errors import LabError
from lab.host import Host

DESKTOP = Host(
    cgroup=2, capabilities=(), unrestricted=True, systemd=True, root=False, distribution="ubuntu"
)
SERVER = Host(
    cgroup=1, capabilities=(), unrestricted=False, systemd=False, root=True, distribution="debian"
)


@pytest.fixture(autouse=True)
def _no_machine_is_touched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(state, "MACHINE", tmp_path / "machine")
    monkeypatch.setattr(state, "LOCAL", tmp_path / "local")
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def _refuse(*_args: object, **_options: object) -> None:
    raise AssertionError("must not be called")


def test_an_engine_that_answers_is_only_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", lambda: "29.7.2")
    monkeypatch.setattr(engine, "_bring_up", _refuse)
    monkeypatch.setattr(docker, "docker", lambda *_args: "[name=seccomp]")
    assert engine.ensure(SERVER) == {"version": "29.7.2", "started_by_lab": False}
    assert state.read() == {}


def test_a_rootless_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", lambda: "29.7.2")
    monkeypatch.setattr(docker, "docker", lambda *_args: "[name=seccomp name=rootless]")
    with pytest.raises(LabError, match="rootless"):
        engine.ensure(DESKTOP)


def test_a_desktop_without_an_engine_gets_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", lambda: None)
    monkeypatch.setattr(engine.shutil, "which", lambda _name: None)
    monkeypatch.setattr(engine, "_wanted_packages", lambda: ["docker.io", "iptables"])
    monkeypatch.setattr(packages, "_apt", _refuse)
    with pytest.raises(LabError, match=r"sudo apt-get install .* docker.io iptables"):
        engine.ensure(DESKTOP)


def test_a_desktop_with_a_stopped_engine_gets_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", lambda: None)
    monkeypatch.setattr(engine.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(LabError, match="sudo systemctl start docker"):
        engine.ensure(DESKTOP)


def test_an_engine_elsewhere_is_not_replaced_by_one_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "version", lambda: None)
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2375")
    with pytest.raises(LabError, match="tcp://elsewhere:2375"):
        engine.ensure(SERVER)


@pytest.mark.parametrize(
    ("known", "others", "kept"),
    [
        ({}, [], "it was not the lab's"),
        (
            {"engine": {"how": "dockerd", "pid": 1}},
            ["container theirs"],
            "it holds container theirs",
        ),
        ({"packages": {engine.PURPOSE: ["docker.io"]}}, ["image a:1"], "it holds image a:1"),
    ],
)
def test_clean_keeps_what_is_not_the_labs(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, object], others: list[str], kept: str
) -> None:
    state.update(**known)
    monkeypatch.setattr(engine, "version", lambda: "20.10")
    monkeypatch.setattr(engine, "foreign", lambda: others)
    monkeypatch.setattr(engine, "_stop", _refuse)
    monkeypatch.setattr(packages, "purge", _refuse)
    assert kept in engine.give_back(SERVER)
    assert state.read() == known


def test_a_pid_is_only_believed_if_a_living_engine_has_it(tmp_path: Path) -> None:
    for pid, stat in ((10, "(dockerd) S 1"), (11, "(sshd) S 1"), (12, "(dockerd) Z 1")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} {stat}\n")
    assert [engine.lives(pid, "dockerd", tmp_path) for pid in (10, 11, 12, 13)] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("pid", "gone"), [(os.getpid(), True), ("rubbish", False)], ids=["a living process", "rubbish"]
)
def test_a_stale_pidfile_does_not_stop_the_next_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pid: object, gone: bool
) -> None:
    pidfile = tmp_path / "docker.pid"
    pidfile.write_text(str(pid))
    monkeypatch.setattr(engine, "_PIDFILES", {"dockerd": pidfile})
    engine._drop_stale_pidfiles()
    assert pidfile.exists() is not gone


def test_only_the_engines_firewall_rules_go() -> None:
    saved = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A DOCKER-USER -j RETURN
COMMIT
"""
    assert engine.without_engine_rules(saved).splitlines() == [
        "*filter",
        ":INPUT ACCEPT [0:0]",
        ":FORWARD ACCEPT [0:0]",
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
        "COMMIT",
    ]

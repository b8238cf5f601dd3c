# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils import engine_service
from ansible_collections.edgellm.host.plugins.module_utils.host import docker_api

from tests.unit.fake_engine import container, serving, short_directory
from tests.unit.fake_systemd import FakeSystemd


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    fake = FakeSystemd(tmp_path / "systemd", tmp_path / "daemon.json")
    monkeypatch.setenv("PATH", str(fake.bin), prepend=":")
    return fake


@pytest.fixture
def socket_path(monkeypatch):
    with short_directory() as directory:
        monkeypatch.setattr(docker_api, "SOCKET", str(directory / "docker.sock"))
        yield directory / "docker.sock"


@pytest.fixture
def engine(socket_path):
    with serving(socket_path) as engine:
        yield engine


def service(unit="docker", timeout=5):
    return engine_service.EngineService(unit, timeout)


@pytest.mark.parametrize(
    ("state", "running"),
    [("active", True), ("activating", True), ("inactive", False), ("failed", False)],
)
def test_engine_runs_when_systemd_runs_it(systemd, state, running):
    systemd.units({"docker.service": state})
    assert service().is_running() is running
    assert service("docker.service").is_running() is running


def test_engine_does_not_run_without_systemd(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not service().is_running()


def test_restart_forgets_earlier_failures_first(systemd, engine):
    service().restart()
    assert systemd.calls == ["reset-failed docker.service docker.socket", "restart docker.service"]


def test_restart_waits_until_the_engine_serves(systemd, socket_path):
    with pytest.raises(engine_service.NotUp, match=r"no answer within 0.3 s"):
        service(timeout=0.3).restart()


def test_failed_restart_says_what_the_journal_says(systemd, engine, tmp_path):
    (tmp_path / "daemon.json").write_text("nonsense")
    systemd.journal("Starting", "failed to start daemon: nonsense", "Failed to start docker")
    with pytest.raises(engine_service.NotUp, match=r"^failed to start daemon: nonsense$"):
        service().restart()


def test_units_that_stop_with_the_engine_start_again(systemd, engine):
    systemd.units(
        {"docker.service": "active", "agent.service": "active", "idle.service": "inactive"}
    )
    systemd.require("agent.service", "idle.service")
    before = service().dependants()
    assert before == ["agent.service"]
    service().restart()
    assert service().start_again(before) == ["agent.service"]
    assert systemd.state("agent.service") == "active"
    assert service().start_again(before) == []


def test_running_containers_are_told_by_name(engine):
    engine.contain(container("ollama"), container("old", state="exited"))
    assert engine_service.running_containers() == {"ollama"}


def test_no_container_runs_without_an_engine(socket_path):
    assert engine_service.running_containers() == set()

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import stat

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import docker_api

from tests.unit.fake_engine import serving, short_directory
from tests.unit.fake_systemd import FakeSystemd

LOGS = {"log-driver": "local", "log-opts": {"max-size": "10m"}}


@pytest.fixture
def host(tmp_path, monkeypatch, run_module):
    """A host with systemd and an engine that dislikes the word nonsense."""
    with short_directory() as directory:
        monkeypatch.setattr(docker_api, "SOCKET", str(directory / "docker.sock"))

        class Host:
            path = tmp_path / "etc/docker/daemon.json"
            record = tmp_path / "state/docker-daemon.json"
            systemd = FakeSystemd(tmp_path / "systemd", tmp_path / "etc/docker/daemon.json")

            def write(self, text: str) -> None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_text(text)

            def run(self, config, section="me", **more):
                return run_module(
                    "docker_daemon_config",
                    section=section,
                    config=config,
                    path=str(self.path),
                    record=str(self.record),
                    timeout=5,
                    **more,
                )

        monkeypatch.setenv("PATH", str(Host.systemd.bin), prepend=":")
        with serving(directory / "docker.sock") as engine:
            Host.engine = engine
            yield Host()


def restarts(host) -> int:
    return host.systemd.calls.count("restart docker.service")


def test_bare_host_gets_the_file_and_its_second_run_changes_nothing(host):
    host.systemd.units({})
    first = host.run(LOGS)
    assert first["changed"]
    assert not first["restarted"]
    assert first["config"] == LOGS
    assert json.loads(host.path.read_text()) == LOGS
    assert stat.S_IMODE(host.path.stat().st_mode) == 0o644
    assert not host.run(LOGS)["changed"]
    assert host.systemd.calls == []


def test_running_engine_is_restarted_once(host):
    assert host.run(LOGS)["restarted"]
    assert not host.run(LOGS)["restarted"]
    assert restarts(host) == 1


def test_check_mode_predicts_and_touches_nothing(host):
    host.write('{"foreign": true}')
    predicted = host.run(LOGS, check_mode=True)
    assert host.path.read_text() == '{"foreign": true}'
    assert not host.record.parent.exists()
    assert host.systemd.calls == []
    assert host.run(LOGS) == predicted


def test_diff_is_the_file_before_and_after(host):
    host.write('{"log-driver": "journald", "foreign": 1}')
    diff = host.run(LOGS)["diff"]
    assert diff["before"] == '{"log-driver": "journald", "foreign": 1}'
    assert diff["after"] == host.path.read_text()
    assert json.loads(diff["after"]) == {**LOGS, "foreign": 1}


def test_unchanged_file_is_not_rewritten(host):
    text = '{"log-opts":{"max-size":"10m"},\n\n "log-driver":"local"}'
    host.write(text)
    assert not host.run(LOGS)["changed"]
    assert host.path.read_text() == text


def test_mode_of_a_file_that_is_there_stays(host):
    host.write("{}")
    host.path.chmod(0o600)
    host.run(LOGS)
    assert stat.S_IMODE(host.path.stat().st_mode) == 0o600


def test_sections_do_not_see_each_other(host):
    host.run(LOGS)
    host.run({"registry-mirrors": ["http://192.0.2.1"]}, "mirrors")
    host.run({}, "me")
    assert json.loads(host.path.read_text()) == {"registry-mirrors": ["http://192.0.2.1"]}
    assert json.loads(host.record.read_text()) == {
        "sections": {"mirrors": {"registry-mirrors": ["http://192.0.2.1"]}}
    }


def test_contradicting_sections_are_refused(host):
    host.run(LOGS)
    result = host.run({"log-driver": "journald"}, "you", fails=True)
    assert "Take the key out of one of the two" in result["msg"]
    assert json.loads(host.path.read_text()) == LOGS


def test_broken_file_is_left_alone(host):
    host.write('{"a": 1,}')
    result = host.run(LOGS, fails=True)
    assert f"{host.path}, line 1, column " in result["msg"]
    assert host.path.read_text() == '{"a": 1,}'


@pytest.mark.parametrize("previous", [None, '{"foreign":  1}'])
def test_previous_file_comes_back_when_the_engine_does_not(host, previous):
    if previous:
        host.write(previous)
    host.systemd.journal("Starting Docker", "failed to start daemon: no log driver nonsense")
    result = host.run({"log-driver": "nonsense"}, fails=True)
    assert result["restored"] is True
    assert result["journal"] == "failed to start daemon: no log driver nonsense"
    assert result["journal"] in result["msg"]
    assert "runs with it" in result["msg"]
    assert (host.path.read_text() if host.path.exists() else None) == previous
    assert host.systemd.state("docker.service") == "active"
    assert not host.record.exists()
    # Nothing is left that would make the next run restart the engine.
    assert not host.run({})["changed"]


def test_engine_that_stays_down_is_said(host):
    host.write('{"log-driver": "nonsense"}')
    result = host.run({"a": 1}, fails=True)
    assert "does not come up with it" in result["msg"]
    assert json.loads(host.path.read_text()) == {"log-driver": "nonsense"}


@pytest.mark.parametrize("broken", [False, True])
def test_units_that_stopped_with_the_engine_run_again(host, broken):
    host.systemd.units({"docker.service": "active", "agent.service": "active"})
    host.systemd.require("agent.service")
    result = host.run({"log-driver": "nonsense"} if broken else LOGS, fails=broken)
    assert host.systemd.state("agent.service") == "active"
    assert result.get("started_units") == (None if broken else ["agent.service"])


@pytest.mark.parametrize("before", [None, "{}"])
def test_password_of_a_proxy_is_for_root_alone(host, before):
    if before:
        host.write(before)
    proxies = {"proxies": {"http-proxy": "http://me:s3cret@192.0.2.1:3128"}}
    result = host.run(proxies)
    assert "s3cret" not in json.dumps([result["diff"], result["config"]])
    assert result["config"]["proxies"]["http-proxy"] == "http://me:********@192.0.2.1:3128"
    assert json.loads(host.path.read_text()) == proxies
    assert stat.S_IMODE(host.path.stat().st_mode) == 0o600
    assert not host.run(proxies)["changed"]
    refusal = host.run({"proxies": {"http-proxy": "http://x:0ther@y"}}, "you", fails=True)["msg"]
    assert "s3cret" not in refusal
    assert "0ther" not in refusal

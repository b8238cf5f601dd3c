# SPDX-License-Identifier: GPL-3.0-or-later
"""The distribution's engine, and daemon.json with one owner."""

from __future__ import annotations

import json

import pytest

testinfra_hosts = ["ansible://box2"]

DAEMON = "/etc/docker/daemon.json"
RECORD = "/srv/edgellm/state/docker-daemon.json"


def daemon(host) -> dict:
    return json.loads(host.file(DAEMON).content_string)


def merge(host, config, section="docker_engine", **options) -> dict:
    """Run the module for real, as a role would."""
    arguments = {"section": section, "config": config, "record": RECORD, **options}
    return host.ansible(
        "edgellm.host.docker_daemon_config", json.dumps(arguments), check=False, become=False
    )


@pytest.fixture
def kept(host):
    """The section's present wish, restored afterwards with the file."""
    wish = json.loads(host.file(RECORD).content_string)["sections"]["docker_engine"]
    yield wish
    merge(host, wish)


def test_engine_is_debians(host):
    assert host.package("docker.io").is_installed
    assert not host.package("docker-ce").is_installed
    assert host.service("docker").is_running
    assert host.run("docker compose version").rc == 0


def test_engine_runs_with_our_keys(host):
    assert daemon(host)["max-concurrent-downloads"] == 2
    info = json.loads(host.check_output("docker info --format '{{json .}}'"))
    assert info["LoggingDriver"] == "local"
    assert info["LiveRestoreEnabled"]
    assert info["RegistryConfig"]["Mirrors"] == ["http://198.18.77.4:5000/"]


def test_foreign_keys_survive_a_merge(host, kept):
    foreign = {**daemon(host), "default-shm-size": "128M"}
    host.check_output("printf %%s %s > %s", json.dumps(foreign), DAEMON)
    result = merge(host, {**kept, "max-concurrent-uploads": 3})
    assert result["changed"]
    assert daemon(host)["default-shm-size"] == "128M"
    assert daemon(host)["max-concurrent-uploads"] == 3
    # What we no longer want goes, what others wrote stays.
    merge(host, kept)
    assert "max-concurrent-uploads" not in daemon(host)
    assert daemon(host)["default-shm-size"] == "128M"
    host.check_output("printf %%s %s > %s", json.dumps(kept), DAEMON)


def test_password_of_a_proxy_is_for_root_alone(host, kept):
    proxies = {"http-proxy": "http://me:s3cret@192.0.2.1:3128", "no-proxy": "*"}
    result = merge(host, {**kept, "proxies": proxies})
    assert result["restarted"]
    assert "s3cret" not in json.dumps(result["config"])
    assert daemon(host)["proxies"] == proxies
    assert host.file(DAEMON).mode == 0o600


def test_previous_file_comes_back_when_the_engine_does_not(host, kept):
    before = host.file(DAEMON).content_string
    result = merge(host, {**kept, "log-driver": "nonsense"}, timeout=20)
    assert "nonsense" in result["msg"]
    assert result["restored"]
    assert host.file(DAEMON).content_string == before
    assert host.run("docker info").rc == 0


def test_broken_json_is_left_alone(host, kept):
    before = host.file(DAEMON).content_string
    host.check_output("printf %%s %s > %s", '{"log-driver": ', DAEMON)
    try:
        result = merge(host, kept)
        assert DAEMON in result["msg"]
        assert host.file(DAEMON).content_string == '{"log-driver": '
    finally:
        host.check_output("printf %%s %s > %s", before, DAEMON)

# SPDX-License-Identifier: GPL-3.0-or-later
"""After `teardown.yml` with `teardown_data=true`: nothing of ours but the engine."""

from __future__ import annotations

testinfra_hosts = ["ansible://box1"]


def test_containers_and_network_are_gone(host):
    assert host.check_output("docker ps --all --quiet") == ""
    assert "edge" not in host.check_output("docker network ls --format '{{.Name}}'").split()


def test_data_and_the_command_are_gone(host):
    assert host.check_output("ls -A /srv/edgellm") == ""
    assert not host.file("/etc/edgellm.json").exists
    assert not host.file("/usr/local/bin/edgellm").exists


def test_engine_still_runs(host):
    assert host.service("docker").is_running

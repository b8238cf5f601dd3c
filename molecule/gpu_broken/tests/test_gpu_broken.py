# SPDX-License-Identifier: GPL-3.0-or-later
"""After all that was broken and mended: what is on the box when its GPU is gone at last."""

from __future__ import annotations

import json

testinfra_hosts = ["ansible://box2"]


def test_hand_made_specification_is_kept_under_another_name(host):
    assert not host.file("/etc/cdi/nvidia.yaml").exists
    assert host.file("/etc/cdi/nvidia.yaml.disabled").exists


def test_foreign_keys_of_daemon_json_are_kept_and_ours_are_back(host):
    config = json.loads(host.file("/etc/docker/daemon.json").content_string)
    assert config["debug"] is False
    assert config["features"] == {"cdi": True}
    assert "nvidia" in config["runtimes"]


def test_container_has_no_gpu_once_the_host_has_none(docker_json):
    container = docker_json("ollama")
    assert not container["HostConfig"]["DeviceRequests"]
    assert container["State"]["Health"]["Status"] == "healthy"

# SPDX-License-Identifier: GPL-3.0-or-later
"""The connector runs, and its token is where only it can read it."""

from __future__ import annotations

import base64
import json

testinfra_hosts = ["ansible://box2"]

TOKEN = "/srv/edgellm/cloudflared/token"
NAME = "cloudflared-ollama"


def test_connector_is_healthy_on_edge_without_a_published_port(docker_json):
    container = docker_json(NAME)
    assert container["State"]["Health"]["Status"] == "healthy"
    assert list(container["NetworkSettings"]["Networks"]) == ["edge"]
    assert not container["HostConfig"]["PortBindings"]


def test_connector_can_do_nothing_else(docker_json):
    container = docker_json(NAME)
    assert container["Config"]["User"] == "65532:65532"
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert container["HostConfig"]["CapDrop"] == ["ALL"]


def test_token_belongs_to_the_connector_alone(host):
    token = host.file(TOKEN)
    assert (token.uid, token.gid, token.mode) == (65532, 65532, 0o400)


def test_token_is_nowhere_else(host):
    token = host.file(TOKEN).content_string
    secret = json.loads(base64.b64decode(token))["s"]
    for place in ("docker inspect " + NAME, "docker logs " + NAME, "cat /proc/*/cmdline"):
        seen = host.run(f"{place} 2>&1 | tr '\\0' ' '").stdout
        assert secret not in seen, place
        assert token not in seen, place
    found = host.run("grep -rl %s /srv /etc /root /var/log 2>/dev/null", token).stdout.split()
    assert found == [TOKEN]

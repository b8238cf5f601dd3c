# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import docker_api

from tests.unit.fake_engine import container, serving, short_directory


@pytest.fixture
def root():
    with short_directory() as directory:
        yield directory


@pytest.fixture
def engine(root):
    with serving(root / docker_api.SOCKET) as engine:
        yield engine


def test_engine_that_serves_answers(root, engine):
    assert docker_api.answers(root=str(root))
    assert docker_api.get("/version", root=str(root)) == {"Version": "29.7.2"}
    assert engine.asked == ["GET /_ping", "GET /version"]


def test_missing_socket_says_that_no_engine_listens(root):
    assert not docker_api.answers(root=str(root))
    with pytest.raises(docker_api.EngineError, match=f"no engine listens on {root}"):
        docker_api.get("/version", root=str(root))


def test_refused_request_is_an_error(root, engine):
    with pytest.raises(docker_api.EngineError, match="GET /nope was answered 404"):
        docker_api.get("/nope", root=str(root))


def test_silent_engine_does_not_answer(root):
    path = root / docker_api.SOCKET
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        assert not docker_api.answers(root=str(root), timeout=0.1)


def test_socket_nobody_listens_on_is_an_error(root):
    path = root / docker_api.SOCKET
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(docker_api.EngineError, match="refused"):
        docker_api.get("/version", root=str(root))


def test_engine_is_installed_where_its_program_is(root):
    assert not docker_api.is_installed(str(root))
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/dockerd").touch()
    assert docker_api.is_installed(str(root))


def test_publisher_is_the_container_of_that_tcp_port():
    udp = container("udp", port=53)
    udp["Ports"][0]["Type"] = "udp"
    listed = [container("web", port=80), udp, container("quiet")]
    assert docker_api.publisher_of(listed, 80) == ("web", "127.0.0.1")
    assert docker_api.publisher_of(listed, 53) is None


def test_name_given_by_a_link_is_not_the_containers():
    assert docker_api.name_of({"Id": "a" * 64, "Names": ["/n8n/llm", "/ollama"]}) == "ollama"
    assert docker_api.name_of({"Id": "a" * 64, "Names": None}) == "a" * 12

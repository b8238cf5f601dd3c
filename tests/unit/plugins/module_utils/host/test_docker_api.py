# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import docker_api

from tests.unit import fake_engine
from tests.unit.fake_engine import Program, Refusal, container, serving, short_directory


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


def test_refusal_says_what_the_engine_said(root, engine):
    engine.images["ollama"] = Program(create=Refusal(400, "unknown or invalid runtime name: x"))
    with pytest.raises(docker_api.EngineRefused, match="answered 400: unknown or inv") as caught:
        docker_api.create("t", {"Image": "ollama"}, root=str(root))
    assert (caught.value.status, caught.value.said) == (400, "unknown or invalid runtime name: x")


def test_container_that_is_not_there_is_none(root, engine):
    engine.answers["/containers/ollama/json"] = {"Id": "abc"}
    assert docker_api.inspect("ollama", root=str(root)) == {"Id": "abc"}
    assert docker_api.inspect("gone", root=str(root)) is None


def test_container_is_made_run_read_and_removed(root, engine):
    engine.images["ollama"] = Program("one\ntwo\n", exit_code=3)
    ident = docker_api.create("edgellm-1", {"Image": "ollama", "Tty": True}, root=str(root))
    docker_api.start(ident, root=str(root))
    assert docker_api.wait(ident, 5, root=str(root)) == 3
    assert docker_api.logs(ident, root=str(root)) == "one\ntwo\n"
    docker_api.remove(ident, root=str(root))
    assert [asked.line for asked in engine.sent] == [
        "POST /containers/create?name=edgellm-1",
        "POST /containers/trial1/start",
        "POST /containers/trial1/wait",
        "DELETE /containers/trial1?force=1&v=1",
    ]
    assert engine.sent[0].body == {"Image": "ollama", "Tty": True}


def test_container_that_does_not_end_is_waited_for_so_long_only(root, engine):
    engine.images["ollama"] = Program(hangs=True)
    ident = docker_api.create("edgellm-1", {"Image": "ollama"}, root=str(root))
    with pytest.raises(docker_api.EngineSilent, match=r"within 0\.1 s"):
        docker_api.wait(ident, 0.1, root=str(root))


@pytest.mark.parametrize("status", [404, 409])
def test_container_that_is_gone_or_going_counts_as_removed(root, engine, monkeypatch, status):
    monkeypatch.setattr(engine, "handle", lambda _asked: Refusal(status, "no"))
    docker_api.remove("abc", root=str(root))


def test_container_that_stays_is_an_error(root, engine, monkeypatch):
    monkeypatch.setattr(engine, "handle", lambda _asked: Refusal(500, "device is busy"))
    with pytest.raises(docker_api.EngineRefused, match="device is busy"):
        docker_api.remove("abc", root=str(root))


def test_command_in_a_container_is_run_to_its_end(root, engine):
    engine.commands["abc"] = Program("Unknown Error\n", exit_code=255)
    done = docker_api.execute("abc", ["nvidia-smi", "-L"], 5, root=str(root))
    assert done == docker_api.Finished(255, "Unknown Error\n")
    prepared, started = engine.sent
    assert prepared.body == {
        "Cmd": ["nvidia-smi", "-L"],
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": True,
    }
    assert (started.path, started.body) == ("/exec/exec1/start", {"Detach": False, "Tty": True})


def test_exit_status_is_asked_again_until_the_engine_has_noted_it(root, engine, monkeypatch):
    told = iter([{"Running": True, "ExitCode": None}, {"Running": False, "ExitCode": 7}])
    engine.commands["abc"] = Program()
    monkeypatch.setattr(
        "tests.unit.fake_engine._RULES",
        [(r"GET /exec/.*", lambda *_: next(told)), *fake_engine._RULES],
    )
    assert docker_api.execute("abc", ["x"], 5, root=str(root)).exit_code == 7


def test_processes_are_told_in_the_hosts_numbers(root, engine):
    engine.answers["/containers/abc/top"] = {
        "Titles": ["UID", "PID", "PPID", "CMD"],
        "Processes": [["root", "812", "790", "ollama serve"], ["root", "900", "812", "runner"]],
    }
    assert docker_api.pids("abc", root=str(root)) == (812, 900)

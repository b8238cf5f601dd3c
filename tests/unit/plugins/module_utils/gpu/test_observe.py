# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import gate, observe
from ansible_collections.edgellm.host.plugins.module_utils.gpu.observation import Attempt, Loaded

from tests.unit import fake_gpu_host
from tests.unit.fake_engine import GPU_LIST, Program, Refusal, left_over
from tests.unit.fake_gpu_host import GB, IDENT, IMAGE, QWEN, gpu_host

UNRESOLVABLE = "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all"


@pytest.fixture
def host():
    with gpu_host() as host:
        yield host


def look(host, **asked):
    questions = observe.Questions(**{"url": host.api.url, **asked})
    return observe.gather(questions, str(host.root))


def sent(host):
    return [asked.line.partition("?name=")[0] for asked in host.engine.sent]


def test_healthy_host_passes_with_a_trial(host):
    seen = look(host, trial=True)
    verdict = gate.judge(seen)
    assert [row.code for row in verdict.rows if not row.ok] == []
    assert verdict.on_gpu
    assert seen.trial == seen.inside == Attempt(0, GPU_LIST)
    assert seen.loaded == (Loaded("qwen2.5:7b-instruct", 5 * GB, 5 * GB),)
    assert seen.pids == (812,)


def test_trial_is_made_like_ollamas_container_and_removed(host):
    look(host, trial=True)
    assert sent(host) == [
        "POST /containers/create",
        "POST /containers/trial1/start",
        "POST /containers/trial1/wait",
        "DELETE /containers/trial1?force=1&v=1",
        f"POST /containers/{IDENT}/exec",
        "POST /exec/exec2/start",
    ]
    made = host.engine.sent[0].body
    assert (made["Image"], made["HostConfig"]["NetworkMode"]) == (IMAGE, "none")
    assert made["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["nvidia.com/gpu=all"]


def test_trials_have_names_of_their_own(host):
    look(host, trial=True)
    look(host, trial=True)
    names = [a.path for a in host.engine.sent if "/create?" in a.path]
    assert len(set(names)) == 2
    assert all(name.startswith("/containers/create?name=edgellm-gpu-trial-") for name in names)


def test_quiet_look_makes_no_container(host):
    seen = look(host)
    assert seen.trial is None
    assert sent(host) == [f"POST /containers/{IDENT}/exec", "POST /exec/exec1/start"]


@pytest.mark.parametrize("step", ["create", "start"])
def test_what_the_engine_refuses_is_what_was_found(host, step):
    host.engine.images[IMAGE] = Program(**{step: Refusal(500, UNRESOLVABLE)})
    seen = look(host, trial=True)
    assert seen.trial == Attempt(error=UNRESOLVABLE)
    assert host.engine.made == {}


def test_trial_that_hangs_is_given_up_and_removed(host):
    host.engine.images[IMAGE] = Program(hangs=True)
    seen = look(host, trial=True, timeout=0.2)
    assert seen.trial == Attempt(error="nvidia-smi did not end within 0.2 s")
    assert host.engine.made == {}


def test_command_that_hangs_is_given_up(host):
    host.engine.commands[IDENT] = Program(hangs=True)
    assert look(host, timeout=0.2).inside == Attempt(error="nvidia-smi did not end within 0.2 s")


def test_command_that_cannot_be_run_is_what_was_found(host):
    message = 'OCI runtime exec failed: exec: "nvidia-smi": executable file not found in $PATH'
    host.engine.commands[IDENT] = Program(start=Refusal(400, message))
    assert look(host).inside == Attempt(error=message)


def test_leftovers_of_killed_runs_are_removed_first(host):
    host.engine.left_over = [left_over("old", age=3600), left_over("another", age=5)]
    look(host, trial=True)
    assert sent(host)[:2] == ["DELETE /containers/old?force=1&v=1", "POST /containers/create"]
    assert "DELETE /containers/another?force=1&v=1" not in sent(host)
    assert any("gpu-trial" in line for line in host.engine.asked if "filters=" in line)


def test_second_image_is_tried_with_the_same_injection(host):
    host.engine.images["cuda:12"] = Program()
    seen = look(host, trial=True, cuda_image="cuda:12")
    assert seen.cuda == Attempt(0, GPU_LIST)
    one, two = (asked.body for asked in host.engine.sent if "/create" in asked.path)
    assert two == {**one, "Image": "cuda:12"}


def test_second_image_that_is_not_there_is_not_pulled(host):
    seen = look(host, trial=True, cuda_image="cuda:12")
    assert seen.cuda == Attempt(error="No such image: cuda:12")
    assert not any("/images" in asked.path for asked in host.engine.sent)


def test_behind_a_broken_driver_no_container_is_touched(host):
    host.break_driver()
    verdict = gate.judge(look(host, trial=True))
    assert host.engine.sent == []
    assert verdict.rows[0].found.startswith("Failed to initialize NVML: Driver/library version")
    assert not verdict.on_gpu


def test_host_without_a_gpu_is_left_alone(host):
    (host.root / "usr/bin/nvidia-smi").unlink()
    host.give()
    verdict = gate.judge(look(host, trial=True))
    assert (host.engine.sent, host.api.asked) == ([], [])
    assert [row.found for row in verdict.rows] == ["CPU: this host has no GPU"]


def test_container_that_does_not_run_is_not_asked(host):
    host.give("all", running=False, error=UNRESOLVABLE)
    seen = look(host)
    assert host.engine.sent == []
    assert (seen.container.running, seen.container.error) == (False, UNRESOLVABLE)


def test_container_that_is_not_there_is_no_failure(host):
    del host.engine.answers["/containers/ollama/json"]
    assert look(host, trial=True).container is None
    assert host.engine.sent == []


def test_engine_that_is_down_is_no_failure(host):
    (host.root / "var/run/docker.sock").unlink()
    rows = {row.code: row for row in gate.judge(look(host)).rows}
    assert rows["driver"].ok
    assert rows["engine"].found.startswith("no engine listens on")


def test_engine_that_cannot_tell_processes_leaves_them_open(host):
    del host.engine.answers[f"/containers/{IDENT}/top"]
    assert look(host).pids is None


def test_api_is_asked_at_the_containers_address_by_default(host, monkeypatch):
    monkeypatch.setattr(observe, "_PORT", host.api.server_port)
    assert look(host, url="").loaded == look(host).loaded
    assert set(host.api.asked) == {"GET /api/ps"}


BGE = {"name": "bge-m3:latest", "size": GB, "size_vram": GB}


@pytest.mark.parametrize(
    ("first", "then", "judged"),
    [
        ([QWEN], [], []),
        ([], [QWEN], []),
        ([QWEN], [QWEN, BGE], [QWEN["name"]]),
        ([QWEN, BGE], [BGE], [BGE["name"]]),
    ],
)
def test_model_that_comes_or_goes_meanwhile_is_not_judged(host, first, then, judged):
    host.api.loaded, host.api.later = first, [then]
    assert [model.name for model in look(host).loaded] == judged


def test_api_is_asked_without_a_proxy(host, monkeypatch, nobody):
    monkeypatch.setenv("http_proxy", nobody)
    assert look(host).loaded


@pytest.mark.parametrize("loaded", [[{"name": "x"}], ["x"], {"a": 1}])
def test_odd_answer_of_the_api_is_told(host, loaded):
    host.api.loaded = loaded
    seen = look(host)
    assert seen.loaded is None
    assert seen.api_error.startswith(host.api.url)


def test_api_that_does_not_answer_is_told(host, nobody):
    seen = look(host, url=nobody)
    assert seen.loaded is None
    assert "refused" in seen.api_error


def test_other_program_at_the_apis_port_is_told(host, monkeypatch):
    monkeypatch.setattr(fake_gpu_host.FakeApi, "finish_request", greet)
    seen = look(host)
    assert seen.loaded is None
    assert seen.api_error == f"{host.api.url} (SSH-2.0-some\r\n)"


def greet(_server, request, _address):
    request.recv(1000)
    request.sendall(b"SSH-2.0-some\r\n")


def test_stale_specification_is_seen(host):
    host.write("fresh", host.root.joinpath("fresh").read_text().replace("nvidia0", "nvidia1"))
    (broken,) = [row for row in gate.judge(look(host)).rows if not row.ok]
    assert broken.code == "cdi"


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (None, {}),
        ("", {}),
        ('{"features": {"cdi": true}}', {"features": {"cdi": True}}),
        ('{"features": ', None),
        ("[]", None),
    ],
)
def test_settings_of_the_engine_are_those_of_its_file(host, text, settings):
    if text is not None:
        host.write("etc/docker/daemon.json", text)
    assert observe.gather(observe.Questions(), str(host.root)).engine.settings == settings

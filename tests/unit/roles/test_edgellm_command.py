# SPDX-License-Identifier: GPL-3.0-or-later
"""The command on the host, as a program: against a small server, a fake engine and fake tools."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from tests.unit.fake_engine import container, serving, short_directory

COMMAND = Path(__file__).resolve().parents[3] / "roles/ollama_server/files/edgellm"
LOADED = {"name": "qwen2.5:7b-instruct", "size": 100, "size_vram": 100}
SMI = "GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-0)"
INSPECT, START = "/containers/ollama/json", "POST /containers/ollama/start"
#: HostConfig of a container with GPUs, by the ways of ollama_server_gpu_injection, and without.
INJECTIONS = {
    "cdi": {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]},
    "runtime": {"DeviceRequests": None, "Runtime": "nvidia"},
    "device_request": {"DeviceRequests": [{"Driver": "nvidia", "Count": -1}]},
}
NO_INJECTION = {"DeviceRequests": [], "Runtime": "runc"}
#: What Docker Engine 20.10.24 said of a device that was not there at the second start.
NO_DEVICE = (
    'error gathering device information while adding custom device "/dev/nvidia0": '
    "no such file or directory"
)


def ollama(loaded=(), models=3):
    answers = {
        "/api/version": {"version": "0.32.15"},
        "/api/ps": {"models": list(loaded)},
        "/api/tags": {"models": [{"name": f"m{i}"} for i in range(models)]},
    }
    routes = [
        Route(path, lambda _request, answer=answer: JSONResponse(answer))
        for path, answer in answers.items()
    ]
    return Starlette(routes=routes)


class Host:
    def __init__(self, directory: Path, engine) -> None:
        self.directory = directory
        self.engine = engine
        self.root = directory / "srv"
        (self.root / "ollama").mkdir(parents=True)
        (self.root / "ollama/compose.yaml").touch()
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.endpoint = "http://127.0.0.1:9"
        self.socket = directory / "docker.sock"
        engine.contain(container("ollama", port=11434))

    def tool(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def command(self, *arguments: str) -> list[str]:
        settings = self.directory / "edgellm.json"
        said = {
            "root": str(self.root),
            "endpoint": self.endpoint,
            "docker_socket": str(self.socket),
        }
        settings.write_text(json.dumps(said))
        return [sys.executable, str(COMMAND), "--settings", str(settings), *arguments]

    @property
    def env(self) -> dict[str, str]:
        # A proxy of the environment must not get between the command and this machine.
        return {"PATH": f"{self.bin}:/usr/bin:/bin", "http_proxy": "http://127.0.0.1:9"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.env,
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def status(self) -> dict:
        done = self.run("status", "--json")
        status = json.loads(done.stdout)
        assert done.returncode == (1 if status["problems"] else 0)
        return status

    def problem(self) -> str:
        (problem,) = self.status()["problems"]
        return f"{problem['what']} {problem['remedy']}"


@pytest.fixture
def host():
    with short_directory() as directory, serving(directory / "docker.sock") as engine:
        yield Host(directory, engine)


@pytest.fixture
def silent():
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_healthy_host_on_its_gpu(host, served):
    host.endpoint = served(ollama([LOADED]))
    host.engine.contain(container("ollama"), container("cloudflared-ollama"))
    host.tool("nvidia-smi", f"echo '{SMI}'")
    done = host.run("status")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[:5] == [
        f"Endpoint  {host.endpoint} (Ollama 0.32.15)",
        "Runs on   GPU (NVIDIA GeForce RTX 4090)",
        "Loaded    qwen2.5:7b-instruct (100% GPU)",
        "Models    3 installed",
        "Tunnel    running",
    ]
    assert lines[5].startswith("Disk      ")
    assert len(lines) == 6


def test_host_without_gpu_tunnel_and_models_is_healthy_too(host, served):
    host.endpoint = served(ollama(models=0))
    status = host.status()
    assert status["problems"] == []
    assert (status["installed"], status["tunnel"], status["gpus"]) == (0, "not set up", [])
    assert "Runs on   CPU" in host.run("status").stdout


@pytest.mark.parametrize(
    ("size_vram", "processor"),
    [(0, "100% CPU"), (63, "37% CPU / 63% GPU"), (100, "100% GPU")],
)
def test_share_of_the_gpu_is_told(host, served, size_vram, processor):
    host.endpoint = served(ollama([{**LOADED, "size_vram": size_vram}]))
    assert host.status()["loaded"][0]["processor"] == processor


def test_model_on_the_cpu_beside_a_gpu_is_a_problem(host, served):
    host.endpoint = served(ollama([{**LOADED, "size_vram": 0}]))
    host.tool("nvidia-smi", f"echo '{SMI}'")
    assert "on the CPU although there is a GPU. " in host.problem()


@pytest.mark.parametrize("way", INJECTIONS)
def test_container_that_lost_the_gpu_it_was_given_is_a_problem(host, served, way):
    host.endpoint = served(ollama([{**LOADED, "size_vram": 0}]))
    host.tool("nvidia-smi", f"echo '{SMI}'")
    host.engine.answers[INSPECT] = inspected(host_config=INJECTIONS[way])
    assert "sudo docker restart ollama. If it stays on the CPU, ansible-playbook" in host.problem()
    assert host.status()["gpus_given"] is True


@pytest.mark.parametrize("loaded", [[], [{**LOADED, "size_vram": 0}]])
@pytest.mark.parametrize(
    ("injection", "visible"), [(NO_INJECTION, "all"), (INJECTIONS["runtime"], "void")]
)
def test_container_that_is_given_no_gpu_serves_from_the_cpu_and_says_so(
    host, served, loaded, injection, visible
):
    host.endpoint = served(ollama(loaded))
    host.tool("nvidia-smi", f"echo '{SMI}'")
    host.engine.answers[INSPECT] = inspected(host_config=injection, visible=visible)
    done = host.run("status")
    assert done.returncode == 0, done.stdout
    assert (
        "Runs on   CPU (the container is not given the GPU that is there: NVIDIA GeForce RTX 4090)"
        in done.stdout
    )


def test_driver_that_takes_long_is_not_called_broken(host, served):
    host.endpoint = served(ollama())
    host.tool("nvidia-smi", "exec sleep 10")
    assert "nvidia-smi does not answer within 1.4 s. If it only takes long, " in host.problem()


def test_driver_that_fails_is_a_problem(host, served):
    host.endpoint = served(ollama())
    host.tool("nvidia-smi", "echo 'Failed to initialize NVML: Driver mismatch'; exit 18")
    assert "nvidia-smi fails (Failed to initialize NVML: Driver mismatch)." in host.problem()


@pytest.mark.parametrize(
    ("containers", "problem"),
    [
        ([], "There is no container ollama. Start it with: sudo edgellm up"),
        ([container("ollama", state="exited")], "does not run (Exited (1) 2 hours ago)."),
        ([container("ollama")], "does not answer at http://127.0.0.1:9 (connection refused)."),
    ],
)
def test_ollama_that_is_down_is_told_with_the_remedy(host, containers, problem):
    host.engine.contain(*containers)
    done = host.run("status")
    assert done.returncode == 1
    assert problem in done.stdout
    assert problem in host.problem()


def test_start_that_failed_is_told_in_the_words_of_the_engine(host):
    host.engine.contain(container("ollama", state="exited"))
    host.engine.answers[INSPECT] = inspected(error=NO_DEVICE)
    problem = host.problem()
    assert f"The container ollama could not be started ({NO_DEVICE}). " in problem
    assert "Try again with: sudo edgellm revive. " in problem


def test_hanging_ollama_is_a_problem_and_no_reason_to_wait(host, silent):
    host.endpoint = silent
    problem = host.problem()
    assert "The container ollama runs. See why with: sudo edgellm logs" in problem


def test_server_that_is_not_ollama_is_a_problem(host, served):
    host.endpoint = served(Starlette(routes=[Route("/{any:path}", lambda _r: JSONResponse([]))]))
    assert "what answers there is not Ollama" in host.problem()
    host.endpoint = served(Starlette(routes=[Route("/", lambda _r: PlainTextResponse("x"))]))
    assert "answered 404" in host.problem()


def test_engine_that_is_down_is_a_problem(host, served):
    host.endpoint = served(ollama())
    host.socket = host.directory / "gone.sock"
    assert "sudo systemctl start docker" in host.problem()


def test_user_who_may_not_ask_the_engine_still_sees_the_models(host, served):
    host.endpoint = served(ollama())
    # What connect() says to somebody outside the group docker, whoever runs this test.
    blocker = "import socket\ndef no(*a): raise PermissionError(13, 'Permission denied')\n"
    (host.directory / "sitecustomize.py").write_text(
        f"{blocker}real = socket.socket.connect\n"
        "socket.socket.connect = lambda s, a: no() if isinstance(a, str) else real(s, a)\n"
    )
    env = {**host.env, "PYTHONPATH": str(host.directory)}
    done = subprocess.run(
        host.command("status"), env=env, check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout
    assert (
        "Tunnel    unknown (this user may not ask the engine: sudo edgellm status)" in done.stdout
    )


@pytest.mark.parametrize(
    ("tunnel", "state", "problem"),
    [
        (None, "not there", "no container cloudflared-ollama"),
        (container("cloudflared-ollama", state="exited"), "exited", "The tunnel does not run"),
        (
            container("cloudflared-ollama", Status="Up 2 hours (unhealthy)"),
            "unhealthy",
            "no connection to Cloudflare",
        ),
    ],
)
def test_tunnel_that_is_set_up_must_run(host, served, tunnel, state, problem):
    host.endpoint = served(ollama())
    (host.root / "cloudflared").mkdir()
    (host.root / "cloudflared/compose.yaml").touch()
    host.engine.contain(container("ollama"), *([tunnel] if tunnel else []))
    assert problem in host.problem()
    assert host.status()["tunnel"] == state


def test_port_that_is_not_published_is_reached_inside(host, served):
    host.endpoint = ""
    inside = {"Networks": {"edge": {"IPAddress": "127.0.0.1"}}}
    host.engine.contain(container("ollama", NetworkSettings=inside))
    assert host.status()["endpoint"] == "http://ollama:11434 (from containers only)"
    host.engine.contain(container("ollama", NetworkSettings={"Networks": {}}))
    assert "not published and its container has no address" in host.problem()


def test_missing_data_disk_is_a_problem(host, served):
    host.endpoint = served(ollama())
    host.root = host.directory / "gone"
    assert "does not exist. Mount the data disk" in host.problem()


def test_broken_settings_stop_with_the_remedy(host):
    path = host.directory / "broken.json"
    path.write_text("{")
    done = host.run("--settings", str(path), "status")
    assert done.returncode == 1
    assert f"edgellm: {path} cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_have_defaults(host):
    done = host.run("--settings", str(host.directory / "none.json"), "up")
    assert "/srv/edgellm/ollama/compose.yaml does not exist" in done.stderr


def inspected(
    *, state="exited", error="", policy="unless-stopped", host_config=None, visible="all"
):
    """What the engine says of one container, as far as the command reads it."""
    return {
        "State": {"Status": state, "Running": state == "running", "ExitCode": 137, "Error": error},
        "HostConfig": {"RestartPolicy": {"Name": policy}, **(host_config or {})},
        # The image itself says "all".
        "Config": {"Env": ["PATH=/usr/bin", f"NVIDIA_VISIBLE_DEVICES={visible}"]},
    }


def starts(engine, status, said=None, then=None):
    """From now on the engine answers a start with this, and is in another state afterwards."""

    def answer(handler):
        engine.asked.append(f"POST {handler.path}")
        if then is not None:
            engine.answers[INSPECT] = then
        body = b"" if said is None else json.dumps(said).encode()
        handler.send_response(status if handler.path == START.removeprefix("POST ") else 404)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    engine.RequestHandlerClass = type("Starts", (engine.RequestHandlerClass,), {"do_POST": answer})


def test_start_that_failed_is_tried_again_once(host):
    host.engine.answers[INSPECT] = inspected(error=NO_DEVICE)
    starts(host.engine, 204, then=inspected(state="running"))
    first, second = host.run("revive"), host.run("revive")
    assert (first.returncode, first.stdout) == (
        0,
        f"The container ollama is started. Before, it could not be: {NO_DEVICE}\n",
    )
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert host.engine.asked.count(START) == 1


def test_container_that_was_never_started_is_started_too(host):
    host.engine.answers[INSPECT] = inspected(state="created", error=NO_DEVICE)
    starts(host.engine, 204)
    assert host.run("revive").returncode == 0
    assert START in host.engine.asked


def test_somebody_was_faster_is_no_failure(host):
    host.engine.answers[INSPECT] = inspected(error=NO_DEVICE)
    starts(host.engine, 304)
    assert host.run("revive").returncode == 0


def test_start_that_fails_again_says_why_for_another_try(host):
    host.engine.answers[INSPECT] = inspected(error=NO_DEVICE)
    starts(host.engine, 500, {"message": NO_DEVICE})
    done = host.run("revive")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"edgellm: The container ollama cannot be started: {NO_DEVICE}\n"
    starts(host.engine, 503, "busy")
    assert "cannot be started: the engine answered 503" in host.run("revive").stderr


@pytest.mark.parametrize(
    "present",
    [
        None,
        inspected(state="running"),
        inspected(),
        inspected(state="restarting", error=NO_DEVICE),
        inspected(state="removing", error=NO_DEVICE),
        inspected(error=NO_DEVICE, policy="no"),
    ],
    ids=["none", "runs", "stopped by somebody", "engine tries", "removed", "not at boot"],
)
def test_container_that_is_not_to_be_revived_stays_as_it_is(host, present):
    if present:
        host.engine.answers[INSPECT] = present
    done = host.run("revive")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert host.engine.asked == [f"GET {INSPECT}"]


def test_engine_that_is_not_up_yet_is_a_reason_to_try_again(host):
    host.socket = host.directory / "gone.sock"
    done = host.run("revive")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "edgellm: The container engine does not answer (no such file or directory). "
        "Start it with: sudo systemctl start docker\n"
    )


@pytest.fixture
def docker(host):
    """A docker that writes down how it was called."""
    host.tool("docker", f'echo "$@" >>{host.directory}/calls; exit ${{DOCKER_STATUS:-0}}')
    return lambda: (host.directory / "calls").read_text().splitlines()


@pytest.mark.parametrize("tunnel", [False, True])
@pytest.mark.parametrize(
    ("verb", "arguments", "order"),
    [
        ("up", "up -d --wait", ["ollama", "cloudflared"]),
        ("down", "down", ["cloudflared", "ollama"]),
        ("logs", "logs --tail 100 -f", ["ollama", "cloudflared"]),
    ],
)
def test_projects_are_handed_to_compose(host, docker, tunnel, verb, arguments, order):
    if tunnel:
        (host.root / "cloudflared").mkdir()
        (host.root / "cloudflared/compose.yaml").touch()
    assert host.run(verb).returncode == 0
    projects = order if tunnel else ["ollama"]
    expected = [f"compose -f {host.root}/{name}/compose.yaml {arguments}" for name in projects]
    # Logs of several projects are followed side by side.
    assert sorted(docker()) == sorted(expected) if verb == "logs" else docker() == expected


def test_failing_compose_is_handed_on(host):
    host.tool("docker", "exit 17")
    assert host.run("up").returncode == 17


def test_machine_without_docker_says_so(host):
    host.bin.joinpath("docker").unlink(missing_ok=True)
    env = {"PATH": str(host.bin)}
    done = subprocess.run(
        host.command("up"), env=env, check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert done.stderr == "edgellm: docker is not installed on this machine.\n"


@pytest.fixture
def interruptible():
    """A run in the background of a shell ignores Ctrl-C, and so would everything it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_logs_leave_nothing_running(host):
    pid = host.directory / "pid"
    host.tool("docker", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 1000")
    with subprocess.Popen(host.command("logs"), env=host.env) as running:
        while not pid.exists():
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)

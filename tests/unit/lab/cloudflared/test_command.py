# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as a container and its health check call it: as a process, with signals."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import httpx
import pytest

from lab.cloudflared.cli import main
from lab.cloudflared.metrics import KNOWN_PORTS, listen, shown
from lab.names import ROOT

TUNNEL = "9f7d4f6e-3a51-4f0d-9a56-0123456789ab"


def token(secret: bytes = b"k" * 32) -> str:
    fields = {"a": "account", "t": TUNNEL, "s": base64.b64encode(secret).decode()}
    return base64.b64encode(json.dumps(fields).encode()).decode()


class Running:
    """A tunnel in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()

    def said(self, text: str, times: int = 1) -> str:
        """Wait for a line."""

        def found() -> list[str]:
            return [line for line in self.lines if text in line]

        with self._more:
            assert self._more.wait_for(lambda: len(found()) >= times, 30), self.lines
        return found()[-1]

    @property
    def address(self) -> str:
        line = self.said("Starting metrics server on ")
        return f"127.0.0.1:{line.rpartition('/metrics')[0].rpartition(':')[2]}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(30)
        self._reader.join(30)
        return status


@pytest.fixture
def run() -> t.Iterator[t.Callable[..., Running]]:
    with contextlib.ExitStack() as stack:

        def start(*args: str, **environment: str) -> Running:
            process = subprocess.Popen(
                [sys.executable, "-m", "lab.cloudflared", "--no-autoupdate", "tunnel", *args],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "TUNNEL_METRICS": "127.0.0.1:0", **environment},
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Running(process)

        yield start


def answer(tunnel: Running, path: str) -> tuple[int, str]:
    got = httpx.get(f"http://{tunnel.address}{path}", trust_env=False)
    return got.status_code, got.text


def test_a_tunnel_from_its_token_file_to_its_end(
    run: t.Callable[..., Running], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"\n  {token()} \n")
    tunnel = run("run", TUNNEL_TOKEN_FILE=str(file))
    tunnel.said("Registered tunnel connection", times=4)
    status, text = answer(tunnel, "/ready")
    connector = json.loads(text)["connectorId"]
    assert status == 200
    assert text == f'{{"status":200,"readyConnections":4,"connectorId":"{connector}"}}'
    assert answer(tunnel, "/healthcheck") == (200, "OK\n")
    assert "cloudflared_tunnel_ha_connections 4\n" in answer(tunnel, "/metrics")[1]
    assert json.loads(answer(tunnel, "/config")[1])["config"]["ingress"]
    assert [answer(tunnel, path)[0] for path in ("/debug/pprof/cmdline", "/x")] == [403, 404]
    assert main(["tunnel", "--metrics", tunnel.address, "ready"]) == 0
    assert tunnel.stop() == 0
    log = "".join(tunnel.lines)
    assert re.match(
        rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ INF Starting tunnel tunnelID={TUNNEL}\n", log
    )
    assert f"INF Generated Connector ID: {connector}\n" in log
    assert "not Cloudflare's program; it connects nowhere" in log
    shutdown = [line[21:].rstrip("\n") for line in tunnel.lines[-3:]]
    assert shutdown == [
        "INF Initiating graceful shutdown due to signal terminated ...",
        "INF Tunnel server stopped",
        "INF Metrics server stopped",
    ]


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_token_wins_over_the_file_and_is_never_shown(
    run: t.Callable[..., Running], how: str
) -> None:
    secret = token()
    given = ("--token", secret) if how == "flag" else ()
    environment = {"TUNNEL_TOKEN": secret} if how == "variable" else {}
    tunnel = run("run", *given, TUNNEL_TOKEN_FILE="/nonexistent", **environment)
    tunnel.said("Registered tunnel connection", times=4)
    assert tunnel.stop(signal.SIGINT) == 0
    assert "token:*****" in "".join(tunnel.lines).lower().replace("tunnel_", "")
    assert secret not in "".join(tunnel.lines)


def test_a_revoked_token_never_gets_ready(
    run: t.Callable[..., Running], capsys: pytest.CaptureFixture[str]
) -> None:
    tunnel = run("run", "--token", token(bytes(32)), "--protocol=http2")
    line = tunnel.said("Register tunnel error from server side", times=2)
    assert 'error="Unauthorized: Invalid tunnel secret" connIndex=0' in line
    status, text = answer(tunnel, "/ready")
    assert (status, json.loads(text)["readyConnections"]) == (503, 0)
    assert main(["tunnel", "--metrics", tunnel.address, "ready"]) == 1
    url = f"http://{tunnel.address}/ready"
    assert capsys.readouterr().err == f"{url} endpoint returned status code 503\n{text}\n"
    assert tunnel.stop() == 0


def test_a_quiet_log(run: t.Callable[..., Running]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tunnel = run("--loglevel", "error", "--metrics", f"127.0.0.1:{port}", "run", "--token", token())
    url = f"http://127.0.0.1:{port}/ready"
    transport = httpx.HTTPTransport(retries=0)
    with httpx.Client(transport=transport, trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.ConnectError):
                if client.get(url).status_code == 200:
                    break
    assert tunnel.stop() == 0
    assert tunnel.lines == []


@pytest.mark.parametrize(
    ("args", "environment", "status", "message"),
    [
        (["run"], {"TUNNEL_TOKEN": "x"}, 255, "Provided Tunnel token is not valid.\n"),
        (["run"], {}, 255, '"cloudflared tunnel run" requires the ID or name of the tunnel'),
        (["run", "a", "b"], {}, 255, '"cloudflared tunnel run" accepts only one argument'),
        (["run", "name"], {}, 1, "the stand-in knows tunnels by their token only\n"),
        (["run", "--token-file", "/nonexistent/t"], {}, 255,
         "Failed to read token file: open /nonexistent/t: no such file or directory\n"),
        (["run"], {"TUNNEL_TOKEN_FILE": "/"}, 255,
         "Failed to read token file: read /: is a directory\n"),
        (["run", "--protocol", "smtp"], {"TUNNEL_TOKEN": token()}, 1, "unknown protocol smtp"),
        (["--nope", "run"], {}, 1, "Incorrect Usage: flag provided but not defined: -nope\n"),
        (["run", "--token"], {}, 1, "Incorrect Usage: flag needs an argument: -token\n"),
        (["run"], {"TUNNEL_GRACE_PERIOD": "soon"}, 1, 'Incorrect Usage: invalid value "soon"'),
        (["ready"], {}, 1, "--metrics has to be provided\n"),
        (["list"], {}, 1, "tunnel list: this is a stand-in"),
    ],
)  # fmt: skip
def test_refusals(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    environment: dict[str, str],
    status: int,
    message: str,
) -> None:
    for name in [name for name in os.environ if name.startswith("TUNNEL_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["tunnel", *args]) == status
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert said.endswith("\nSee 'cloudflared tunnel run --help'.\n") is (status == 255)


def test_a_token_of_an_empty_file_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("TUNNEL_TOKEN", raising=False)
    (tmp_path / "token").write_text(" \n")
    assert main(["tunnel", "run", "--token-file", str(tmp_path / "token")]) == 255
    assert "requires the ID or name" in capsys.readouterr().err


def test_ready_without_a_tunnel(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["tunnel", "--metrics", address, "ready"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f'Get "http://{address}/ready": ')
    assert "refused" in said


@pytest.mark.parametrize("args", [["version"], ["--version"], ["--no-autoupdate", "-v"]])
def test_it_says_what_it_is(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 0
    said = capsys.readouterr().out
    assert said.startswith("cloudflared version 2026.8.2+standin (a stand-in ")
    assert main(["version", "--short"]) == 0
    assert capsys.readouterr().out == "2026.8.2+standin\n"


def test_where_metrics_are_served() -> None:
    with listen(":0") as everywhere, listen("localhost:0") as local:
        assert re.fullmatch(r"(\[::\]|0\.0\.0\.0):\d+", shown(everywhere))
        assert shown(local).startswith("127.0.0.1:")
        with pytest.raises(Exception, match="failed to bind to address"):
            listen(shown(local))
    with pytest.raises(Exception, match=r"failed to bind to address \(here\): missing port"):
        listen("here")
    with listen("") as first, listen("") as second:
        ports = [int(shown(listener).rpartition(":")[2]) for listener in (first, second)]
        assert ports[0] != ports[1]
        assert ports[0] in KNOWN_PORTS

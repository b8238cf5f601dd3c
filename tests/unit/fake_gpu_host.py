# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a GPU in a directory: its programs, its container engine and Ollama's API."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.unit.fake_engine import FakeEngine, Program, serving, short_directory

IMAGE = "sha256:1234"
IDENT = "0llama"
GB = 1_000_000_000
QWEN = {"name": "qwen2.5:7b-instruct", "size": 5 * GB, "size_vram": 5 * GB}
SPEC = """cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
- name: all
  containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
"""
_SMI = """#!/bin/sh
if [ -e '{root}/smi-fails' ]; then cat '{root}/smi-fails'; exit 18; fi
case "$1" in
--query-gpu=*) echo '0, GPU-a, NVIDIA GeForce RTX 4090, 580.95.05, 24564, 5000' ;;
--query-compute-apps=*) echo 'GPU-a, 812, 4800, /usr/bin/ollama' ;;
esac
"""
_CTK = """#!/bin/sh
exec cat '{root}/fresh'
"""


class FakeApi(http.server.ThreadingHTTPServer):
    """Ollama's API, of which only /api/ps is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.loaded: list[dict] = []
        # What is loaded from the next question on.
        self.later: list[list[dict]] = []
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        body = json.dumps({"models": self.server.loaded}).encode()
        if self.server.later:
            self.server.loaded = self.server.later.pop(0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@dataclass
class GpuHost:
    root: Path
    engine: FakeEngine
    api: FakeApi

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def give(self, *names: str, running: bool = True, error: str = "") -> None:
        """Have Ollama's container made with these GPUs by CDI."""
        devices = [f"nvidia.com/gpu={name}" for name in names]
        request = {"Driver": "cdi", "DeviceIDs": devices, "Capabilities": None}
        self.engine.answers["/containers/ollama/json"] = {
            "Id": IDENT,
            "Image": IMAGE,
            "State": {
                "Running": running,
                "Restarting": False,
                "Status": "running" if running else "exited",
                "Error": error,
            },
            "Config": {"Env": ["PATH=/bin", "NVIDIA_VISIBLE_DEVICES=all"]},
            "HostConfig": {"DeviceRequests": [request] if devices else None, "Runtime": "runc"},
            "NetworkSettings": {"Networks": {"edge": {"IPAddress": "127.0.0.1"}}},
        }

    def break_driver(self) -> None:
        self.write(
            "smi-fails", "Failed to initialize NVML: Driver/library version mismatch\nNVML 580\n"
        )

    def mend_driver(self) -> None:
        (self.root / "smi-fails").unlink()

    def revoke(self) -> None:
        """Take the device away from the running container, as a daemon-reload may."""
        lost = Program("Failed to initialize NVML: Unknown Error\n", exit_code=255)
        self.engine.commands[IDENT] = lost

    def restart(self) -> None:
        self.engine.commands[IDENT] = Program()


@contextlib.contextmanager
def gpu_host():
    """A healthy one: one GPU, given to Ollama by CDI, and a model on it."""
    with (
        short_directory() as root,
        serving(root / "var/run/docker.sock") as engine,
        FakeApi() as api,
    ):
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        host = GpuHost(root, engine, api)
        host.write("usr/bin/nvidia-smi", _SMI.format(root=root), mode=0o755)
        host.write("usr/bin/nvidia-ctk", _CTK.format(root=root), mode=0o755)
        host.write("fresh", SPEC)
        host.write("var/run/cdi/nvidia.yaml", SPEC)
        engine.answers["/info"] = {
            "ServerVersion": "29.7.2",
            "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
            "Runtimes": {"runc": {"path": "runc"}},
        }
        engine.answers[f"/containers/{IDENT}/top"] = {
            "Titles": ["UID", "PID", "CMD"],
            "Processes": [["root", "812", "ollama serve"]],
        }
        engine.images[IMAGE] = Program()
        host.give("all")
        host.restart()
        api.loaded = [QWEN]
        try:
            yield host
        finally:
            api.shutdown()
            thread.join()

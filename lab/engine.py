# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine under the lab: found, or brought up, or asked for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from lab import docker, packages, say, sh, state
from lab.errors import LabError
from lab.host import Host

PURPOSE = "container engine"
_PIDFILE = Path("/var/run/docker.pid")
_DATA = (Path("/var/lib/docker"), Path("/var/lib/containerd"), Path("/etc/docker"))
_READY_WITHIN = 60.0


def version() -> str | None:
    """The version of the engine that answers; None when none does."""
    if not shutil.which("docker"):
        return None
    try:
        argv = ["docker", "version", "--format", "{{.Server.Version}}"]
        done = sh.capture(argv, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        return None
    if "permission denied" in done.stderr.lower():
        raise LabError(
            "the Docker Engine refuses this user. Type, then log in again:\n"
            '  sudo usermod -aG docker "$USER"'
        )
    return done.stdout.strip() or None if done.returncode == 0 else None


def ensure(host: Host) -> dict[str, Any]:
    """An engine that answers. One that already does is only looked at."""
    found = version()
    if found is None:
        _bring_up(host)
        found = version()
    if "rootless" in docker.docker("info", "--format", "{{.SecurityOptions}}"):
        raise LabError("this Docker Engine is rootless; the boxes need an ordinary one")
    return {"version": found, "started_by_lab": "engine" in state.read()}


def _bring_up(host: Host) -> None:
    if os.environ.get("DOCKER_HOST"):
        raise LabError(f"no engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}")
    if not shutil.which("dockerd"):
        if host.root:
            existed = [str(path) for path in _DATA if path.exists()]
            state.update(kept_paths=state.read().get("kept_paths", existed))
        packages.install(host, PURPOSE, _wanted_packages())
    if not host.root:
        raise LabError("the Docker Engine is not running. Type:\n  sudo systemctl start docker")
    if version() is None:  # the package's own postinst may have started it
        _start(host)
    elif state.read().get("packages", {}).get(PURPOSE):
        state.update(engine={"how": "systemd", "at": time.time()})


def _wanted_packages() -> list[str]:
    """Where the client is a package of its own, the engine does not bring it along."""
    candidates = sh.capture(["apt-cache", "policy", "docker-cli"], check=False).stdout
    split = "Candidate:" in candidates and "Candidate: (none)" not in candidates
    return ["docker.io", "iptables", *(["docker-cli"] if split else [])]


def _start(host: Host) -> None:
    if host.systemd:
        say.step("starting the Docker Engine (systemctl start docker)")
        state.update(engine={"how": "systemd", "at": time.time()})
        sh.capture(["systemctl", "start", "docker"])
        _wait(None)
        return
    _drop_stale_pidfile()
    log = state.MACHINE / "dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    say.step(f"starting the Docker Engine (dockerd, log {log})")
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    state.update(engine={"how": "dockerd", "pid": process.pid, "at": time.time()})
    _wait(process)


def _wait(process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while version() is None:
        if process is not None and process.poll() is not None:
            log = state.MACHINE / "dockerd.log"
            tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-8:])
            raise LabError(f"dockerd ended at once, log {log}:\n  {tail}")
        if time.monotonic() > deadline:
            raise LabError(f"the Docker Engine was not ready within {_READY_WITHIN:.0f} s")
        time.sleep(0.3)


def _drop_stale_pidfile() -> None:
    """A killed engine leaves its pid behind, and the next one refuses to start over it."""
    try:
        pid = int(_PIDFILE.read_text())
    except (FileNotFoundError, ValueError):
        return
    if not is_dockerd(pid):
        _PIDFILE.unlink(missing_ok=True)


def is_dockerd(pid: int, proc: Path = Path("/proc")) -> bool:
    try:
        return (proc / str(pid) / "comm").read_text().strip() == "dockerd"
    except FileNotFoundError:
        return False


def foreign() -> list[str]:
    """What would be lost with the engine and is not the lab's."""
    names = docker.docker("ps", "--all", "--format", "container {{.Names}}").splitlines()
    names += docker.docker("images", "--format", "image {{.Repository}}:{{.Tag}}").splitlines()
    names += [f"volume {name}" for name in docker.docker("volume", "ls", "-q").splitlines()]
    return names


def give_back(host: Host) -> str:
    """Stop and remove the engine if it came from the lab and holds nothing of anybody else."""
    known = state.read()
    installed = bool(known.get("packages", {}).get(PURPOSE))
    if "engine" not in known and not installed:
        return "untouched: it was not the lab's"
    if version() is not None:
        others = foreign()
        if others:
            return f"kept: it holds {', '.join(others[:3])}{' …' if len(others) > 3 else ''}"
        _stop(host, known.get("engine", {}))
    state.update(engine=None)
    if not installed:
        return "stopped: the lab had started it"
    if not packages.purge(PURPOSE):
        return "stopped; its packages stay"
    for path in _DATA:
        if str(path) not in known.get("kept_paths", []):
            shutil.rmtree(path, ignore_errors=True)
    state.update(kept_paths=None)
    return "stopped and removed: the lab had installed it"


def _stop(host: Host, started: dict[str, Any]) -> None:
    say.step("stopping the Docker Engine that the lab started")
    if started.get("how") == "systemd" or (host.systemd and not started):
        sh.capture(["systemctl", "stop", "docker.socket", "docker.service"])
        return
    pid = started.get("pid")
    if not pid or not is_dockerd(pid):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while is_dockerd(pid) and time.monotonic() < deadline:
        time.sleep(0.2)

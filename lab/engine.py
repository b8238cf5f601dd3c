# SPDX-License-Identifier: GPL-3.0-or-later
"""The container engine under the lab: found, or brought up, or asked for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from lab import docker, packages, say, sh, state
from lab.errors import LabError
from lab.host import Host

PURPOSE = "container engine"
_PIDFILES = {
    "dockerd": Path("/var/run/docker.pid"),
    "containerd": Path("/var/run/docker/containerd/containerd.pid"),
}
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
            existed = [str(path) for path in _DATA if path.exists() and any(path.iterdir())]
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
    _drop_stale_pidfiles()
    state.update(engine={"how": "dockerd", "at": time.time()})
    log = state.MACHINE / "dockerd.log"
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


def _drop_stale_pidfiles() -> None:
    """A killed engine leaves its pids behind, and the next one refuses to start over them."""
    for program, pidfile in _PIDFILES.items():
        pid = _pid(pidfile)
        if pid is not None and not lives(pid, program):
            pidfile.unlink()


def _pid(pidfile: Path) -> int | None:
    try:
        return int(pidfile.read_text())
    except (FileNotFoundError, ValueError):
        return None


def lives(pid: int, program: str, proc: Path = Path("/proc")) -> bool:
    """Whether the program runs under that pid; a dead one that nobody buried does not."""
    try:
        _pid, name, letter = (proc / str(pid) / "stat").read_text().split()[:3]
    except FileNotFoundError:
        return False
    return name == f"({program})" and letter not in "ZX"


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
    _forget_network()
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
    pid = _pid(_PIDFILES["dockerd"])
    if pid is None or not lives(pid, "dockerd"):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while lives(pid, "dockerd") and time.monotonic() < deadline:
        time.sleep(0.2)


def _forget_network() -> None:
    """An engine leaves its bridge and its firewall rules behind when it stops."""
    sh.capture(["ip", "link", "delete", "docker0"], check=False)
    for family in ("iptables", "ip6tables"):
        saved = sh.capture([f"{family}-save"], check=False)
        if saved.returncode == 0 and "DOCKER" in saved.stdout:
            with tempfile.TemporaryFile() as rules:
                rules.write(without_engine_rules(saved.stdout).encode())
                rules.seek(0)
                sh.capture([f"{family}-restore"], stdin=rules)


def without_engine_rules(saved: str) -> str:
    """The firewall as `iptables-save` shows it, as it was before there was an engine."""
    lines = (line for line in saved.splitlines() if "DOCKER" not in line and "docker0" not in line)
    return "".join(f"{line}\n" for line in lines).replace(":FORWARD DROP", ":FORWARD ACCEPT")

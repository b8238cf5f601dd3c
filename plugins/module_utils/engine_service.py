# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container engine as a systemd service: restart it and know whether it came up. Private."""

from __future__ import annotations

import os
import subprocess
import time
import typing as t

from .docker_daemon import telling_line
from .errors import EdgellmError
from .host import docker_api

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_RUNNING = {"active", "activating", "reloading"}
_POLL_SECONDS = 0.25


class NotUp(EdgellmError):
    """The engine did not come up in time; the text is what its journal says about it."""


class EngineService:
    """A systemd unit that serves the container engine's API."""

    def __init__(self, unit: str, timeout: float) -> None:
        self.unit = unit.removesuffix(".service")
        self.timeout = timeout

    def is_running(self) -> bool:
        """Whether systemd runs it, or is about to; false where there is no systemd or no engine."""
        return self._state() in _RUNNING

    def restart(self) -> None:
        """Restart it and wait until it answers."""
        began = int(time.time())
        deadline = time.monotonic() + self.timeout
        # Systemd counts failed starts, and would refuse to start a mended engine.
        _systemctl("reset-failed", f"{self.unit}.service", f"{self.unit}.socket")
        _systemctl("restart", self.unit, timeout=self.timeout)
        while not (self._state() == "active" and docker_api.answers()):
            if self._state() == "failed" or time.monotonic() > deadline:
                raise NotUp(self._explain(began))
            time.sleep(_POLL_SECONDS)

    def dependants(self) -> list[str]:
        """The units that run now and that systemd stops together with the engine."""
        shown = _systemctl("show", "--property=RequiredBy,BoundBy", f"{self.unit}.service")
        units = [
            unit for line in shown.splitlines() for unit in line.partition("=")[2].split() if unit
        ]
        return sorted(set(units) & _active(units))

    def start_again(self, units: Sequence[str]) -> list[str]:
        """Start those of the units that the engine's restart left stopped; the ones it started."""
        stopped = sorted(set(units) - _active(units))
        if stopped:
            _systemctl("start", "--no-block", *stopped)
        return stopped

    def _state(self) -> str:
        return _systemctl("is-active", f"{self.unit}.service").strip()

    def _explain(self, began: int) -> str:
        _run(["journalctl", "--sync"])
        said = _run(
            [
                "journalctl",
                f"--unit={self.unit}.service",
                f"--since=@{began}",
                "--output=cat",
                "--no-pager",
                "--quiet",
            ]
        )
        return telling_line(said.splitlines()) or f"no answer within {self.timeout:g} s"


def running_containers() -> set[str]:
    """Names of the containers that run; none when the engine does not answer."""
    try:
        listed = docker_api.containers(everything=False)
    except docker_api.EngineError:
        return set()
    return {docker_api.name_of(container) for container in listed}


def _active(units: Sequence[str]) -> set[str]:
    if not units:
        return set()
    states = _systemctl("is-active", "--", *units).split()
    return {unit for unit, state in zip(units, states, strict=False) if state in _RUNNING}


def _systemctl(*arguments: str, timeout: float = 20) -> str:
    return _run(["systemctl", *arguments], timeout)


def _run(command: Sequence[str], timeout: float = 20) -> str:
    """What a command prints in time; its exit status says nothing that the units' states do not."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=timeout,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout

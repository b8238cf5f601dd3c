# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole picture of a host, as the module host_info returns it. Private."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from . import docker_api, dpkg, mounts, os_release, pci, reach, sockets, units

_PROJECT = "com.docker.compose.project"


@dataclass(frozen=True)
class Questions:
    """What is asked about by name; everything else is always answered."""

    packages: Sequence[str] = ()
    ports: Sequence[int] = ()
    containers: Sequence[str] = ()
    units: Sequence[str] = ()
    paths: Sequence[str] = ()
    reach: Sequence[str] = ()


@dataclass(frozen=True)
class _Engine:
    """What the container engine said, or why it said nothing."""

    version: str | None = None
    containers: list[dict[str, Any]] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    cdi_spec_dirs: list[str] = field(default_factory=list)
    runtimes: list[str] = field(default_factory=list)
    error: str | None = None


def gather(asked: Questions, root: str = "/") -> dict[str, Any]:
    """Everything host_info returns; reads only."""
    engine = _ask_engine(root)
    return {
        "os": os_release.read(root),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "systemd": units.systemd_runs(root),
        "wsl": os_release.is_wsl(root),
        "memory_bytes": os_release.memory_bytes(root),
        "packages": dpkg.versions(asked.packages, root),
        "ports": _ports(asked.ports, engine, root),
        "units": units.states(asked.units, root),
        "paths": {path: asdict(mounts.locate(path, root)) for path in asked.paths},
        "docker": _docker(asked.containers, engine, root),
        "nvidia": {
            "devices": len(pci.nvidia_devices(root)),
            "nvidia_smi": pci.has_nvidia_smi(root),
        },
        "reach": reach.unreachable(asked.reach),
    }


def _ask_engine(root: str) -> _Engine:
    try:
        said = docker_api.get("/info", root=root)
        return _Engine(
            version=docker_api.get("/version", root=root)["Version"],
            containers=docker_api.containers(root=root),
            networks=sorted(network["Name"] for network in docker_api.get("/networks", root=root)),
            # Engines before 25.0 know of no CDI, and list nothing while it is off.
            cdi_spec_dirs=said.get("CDISpecDirs") or [],
            runtimes=sorted(said.get("Runtimes") or {}),
        )
    except docker_api.EngineError as exc:
        return _Engine(error=str(exc))


def _docker(names: Sequence[str], engine: _Engine, root: str) -> dict[str, Any]:
    listed = {docker_api.name_of(container): container for container in engine.containers}
    running = engine.error is None
    return {
        # Docker Desktop's engine answers here though its program lies elsewhere.
        "installed": running or docker_api.is_installed(root),
        "running": running,
        "version": engine.version,
        "error": engine.error,
        "containers": {name: _container(listed.get(name)) for name in names},
        "networks": engine.networks,
        "cdi_spec_dirs": engine.cdi_spec_dirs,
        "runtimes": engine.runtimes,
    }


def _container(listed: dict[str, Any] | None) -> dict[str, Any] | None:
    if listed is None:
        return None
    labels = listed.get("Labels") or {}
    return {
        "id": listed["Id"],
        "image": listed["Image"],
        "state": listed["State"],
        "project": labels.get(_PROJECT),
        "labels": labels,
    }


def _ports(ports: Sequence[int], engine: _Engine, root: str) -> dict[str, Any]:
    found = sockets.listeners(ports, root)
    return {str(port): _holder(port, listener, engine) for port, listener in found.items()}


def _holder(port: int, listener: sockets.Listener | None, engine: _Engine) -> dict[str, Any] | None:
    publisher = docker_api.publisher_of(engine.containers, port)
    if listener is None:
        # Without docker-proxy a published port has no listener: packet filter rules serve it.
        name, address = publisher or (None, None)
        held = {"address": address, "pid": None, "process": None, "container": name}
        return held if publisher else None
    names = {listed["Id"]: docker_api.name_of(listed) for listed in engine.containers}
    inside = next((names[ident] for ident in listener.containers if ident in names), None)
    return {
        "address": listener.address,
        "pid": listener.pid,
        "process": listener.process,
        "container": publisher[0] if publisher else inside,
    }

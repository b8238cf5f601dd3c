# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which GPUs a container was given, and how, from what the engine says of it. Private."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .smi import Gpu

Inspected = dict[str, Any]
Kind = Literal["cdi", "runtime", "device_request", "none"]

TRIAL_LABEL = "host.edgellm.service=gpu-trial"
_CDI = "nvidia.com/gpu="
_VISIBLE = "NVIDIA_VISIBLE_DEVICES"
_NOTHING = {"", "none", "void"}
# What decides about devices; network, mounts and rights are nothing that a trial needs.
_COPIED = ("DeviceRequests", "Devices", "DeviceCgroupRules", "Runtime", "SecurityOpt")


@dataclass(frozen=True)
class Injection:
    """How a container gets GPUs, and which: C(names) are indexes or UUIDs, none of them means all.

    C(count): so many GPUs, whichever they are.
    """

    kind: Kind = "none"
    names: tuple[str, ...] = ()
    count: int | None = None
    runtime: str = ""

    @property
    def way(self) -> str:
        """The way in words."""
        return {
            "cdi": "by CDI",
            "runtime": f"by the runtime {self.runtime}",
            "device_request": "by a device request (--gpus)",
            "none": "no GPU",
        }[self.kind]


def read(inspected: Inspected) -> Injection:
    """The injection of a container."""
    host = inspected.get("HostConfig") or {}
    requests = host.get("DeviceRequests") or []
    cdi = [name for request in requests for name in _cdi_names(request)]
    if cdi:
        return Injection("cdi", _names(cdi))
    for request in requests:
        if any("gpu" in capabilities for capabilities in request.get("Capabilities") or []):
            count = int(request.get("Count") or 0)
            ids = request.get("DeviceIDs") or []
            return Injection("device_request", _names(ids), count=count if count > 0 else None)
    runtime = host.get("Runtime") or ""
    visible = dict(_environment(inspected)).get(_VISIBLE, "")
    if "nvidia" in runtime and visible not in _NOTHING:
        return Injection("runtime", _names(visible.split(",")), runtime=runtime)
    return Injection()


def wanted(injection: Injection, gpus: Iterable[Gpu]) -> frozenset[str] | None:
    """UUIDs of the GPUs that the container should see; None when its names do not tell."""
    uuids = {str(gpu.index): gpu.uuid for gpu in gpus if gpu.uuid}
    if injection.count is not None:
        return None
    if not injection.names:
        return frozenset(uuids.values()) or None
    resolved = [uuids.get(name, name) for name in injection.names]
    whole = all(uuid.startswith(("GPU-", "MIG-")) for uuid in resolved)
    return frozenset(resolved) if whole else None


def trial(inspected: Inspected, image: str | None = None) -> dict[str, Any]:
    """Configuration of a throw-away container that gets exactly the same, and lists its GPUs."""
    host = inspected.get("HostConfig") or {}
    key, _, value = TRIAL_LABEL.partition("=")
    return {
        "Image": image or inspected["Image"],
        "Entrypoint": ["nvidia-smi"],
        "Cmd": ["-L"],
        "Tty": True,
        "Env": [f"{name}={said}" for name, said in _environment(inspected)],
        "Labels": {key: value},
        "HostConfig": {
            **{name: host[name] for name in _COPIED if host.get(name)},
            "NetworkMode": "none",
            # Whatever the engine does with logs by default, this one is read back.
            "LogConfig": {"Type": "json-file", "Config": {}},
        },
    }


def _cdi_names(request: dict[str, Any]) -> list[str]:
    if request.get("Driver") != "cdi":
        return []
    return [name for name in request.get("DeviceIDs") or [] if name.startswith(_CDI)]


def _names(named: Iterable[str]) -> tuple[str, ...]:
    names = tuple(name.strip().removeprefix(_CDI) for name in named)
    return () if "all" in names else names


def _environment(inspected: Inspected) -> Iterator[tuple[str, str]]:
    for line in (inspected.get("Config") or {}).get("Env") or []:
        name, _, value = line.partition("=")
        if name.startswith("NVIDIA_"):
            yield name, value

# SPDX-License-Identifier: GPL-3.0-or-later
"""`lab up` and `lab reset`: from whatever there is to what was asked for, in the right order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lab import boxes, build, containers, data, docker, engine, mirror, network, say, services
from lab.containers import Container
from lab.docker import Present
from lab.errors import LabError
from lab.host import Host, detect
from lab.names import ADDRESSES, BOXES, CDN, ORIGIN, REGISTRY, box_container, box_image


def up(wanted: list[str] | None) -> dict[str, Any]:
    """Bring up the services and the boxes named; without names, box1 and whichever boxes exist."""
    host = detect()
    found = engine.ensure(host)
    say.step(f"Docker Engine {found['version']} answers")
    present = docker.containers()
    specs = [_box(name, present, host) for name in _chosen(wanted, present)]
    build.ensure(host, *(spec.kind for spec in specs))
    network.ensure()
    touched = containers.apply(containers.plan(specs, docker.containers()))
    result: dict[str, Any] = {"engine": found, "online": bool(os.environ.get("LAB_ONLINE"))}
    if not result["online"]:
        result |= _bring_up_services(host, touched)
    boxes.wait([spec.name for spec in specs])
    build.drop_superseded()
    return {
        **result,
        "boxes": {spec.name: {"address": spec.address, "image": spec.kind} for spec in specs},
        "touched": touched,
        "seconds": round(say.elapsed(), 1),
    }


def reset(names: list[str], kind: str | None) -> dict[str, Any]:
    """Make the boxes named anew, from the image asked for or from their usual one."""
    host = detect()
    engine.ensure(host)
    specs = [boxes.box(known(name), kind or box_image(name), host) for name in names]
    build.ensure(host, *(spec.kind for spec in specs))
    network.ensure()
    present = docker.containers()
    boxes.reset(specs, present)
    boxes.wait([spec.name for spec in specs])
    return {
        "boxes": {spec.name: {"address": spec.address, "image": spec.kind} for spec in specs},
        "seconds": round(say.elapsed(), 1),
    }


def known(name: str) -> str:
    if name not in BOXES:
        raise LabError(f"{name}: no such box; there are {', '.join(BOXES)}")
    return name


def _chosen(wanted: list[str] | None, present: Mapping[str, Present]) -> list[str]:
    if wanted is not None:
        return [known(name) for name in wanted]
    return [name for name in BOXES if name == "box1" or box_container(name) in present]


def _box(name: str, present: Mapping[str, Present], host: Host) -> Container:
    """A box keeps the kind of image it was last given by `lab reset`."""
    existing = present.get(box_container(name))
    return boxes.box(name, existing.image if existing else box_image(name), host)


def _bring_up_services(host: Host, touched: list[str]) -> dict[str, Any]:
    build.ensure(host, "services")
    present = docker.containers()
    touched += containers.apply(containers.plan([services.registry()], present))
    content = "-".join(data.fingerprints().values())
    steps = containers.plan([services.origin(content), services.cdn(content)], present)
    # Containers with that fingerprint were only made after their data was there.
    if any(step.action in {"create", "replace"} for step in steps):
        data.ensure()
    touched += containers.apply(steps)
    services.wait([REGISTRY])
    ollama = mirror.ensure(host, mirror.OLLAMA)
    offered: dict[str, Any] = {
        "ollama": {**ollama, "registry": ADDRESSES[REGISTRY], "origin": ADDRESSES[ORIGIN]}
    }
    if mirror.CLOUDFLARED.defaults.exists():
        offered["cloudflared"] = mirror.ensure(host, mirror.CLOUDFLARED)
    services.wait([ORIGIN, CDN])
    return offered

# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers as data: what should run, what runs, and the steps from one to the other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from lab import say
from lab.docker import Present, docker, inspect
from lab.errors import LabError
from lab.hashing import content_hash
from lab.names import LABEL, LABEL_CONFIG, LABEL_IMAGE, NETWORK

Action = Literal["keep", "start", "create", "replace"]


@dataclass(frozen=True)
class Container:
    name: str
    image: str
    #: The short name of the image, for people and for the next `lab up`.
    kind: str
    address: str
    aliases: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    #: Anything else that makes an existing container outdated when it changes.
    fingerprint: str = ""

    @property
    def config(self) -> str:
        return content_hash(vars(self))


@dataclass(frozen=True)
class Step:
    action: Action
    container: Container


def volume(name: str | None, path: str) -> tuple[str, str]:
    """A volume with our label; one without a name lives and dies with its container."""
    source = f"source={name}," if name else ""
    kind = "data" if name else "box"
    return "--mount", f"type=volume,{source}destination={path},volume-label={LABEL}={kind}"


def run_args(container: Container) -> list[str]:
    """The arguments of `docker` that create and start the container."""
    labels = {LABEL: "1", LABEL_CONFIG: container.config, LABEL_IMAGE: container.kind}
    return [
        "run",
        "--detach",
        *("--name", container.name),
        *("--network", NETWORK),
        *("--ip", container.address),
        *(word for alias in container.aliases for word in ("--network-alias", alias)),
        *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
        *container.options,
        container.image,
        *container.command,
    ]


def plan(wanted: Iterable[Container], present: Mapping[str, Present]) -> list[Step]:
    return [
        Step(_action(container, present.get(container.name)), container) for container in wanted
    ]


def _action(wanted: Container, present: Present | None) -> Action:
    if present is None:
        return "create"
    if present.config != wanted.config:
        return "replace"
    if present.state == "running":
        return "keep"
    # A run that was killed between creating and starting leaves "created".
    return "start" if present.state in {"exited", "created"} else "replace"


def apply(steps: Iterable[Step]) -> list[str]:
    """Carry the steps out; returns the names of the containers that were touched."""
    touched = []
    for step in steps:
        if step.action == "keep":
            continue
        name = step.container.name
        say.step(f"container {name}: {step.action}")
        if step.action == "start":
            docker("start", name)
        else:
            if step.action == "replace":
                remove([name])
            docker(*run_args(step.container))
        touched.append(name)
    return touched


def remove(names: Iterable[str]) -> None:
    """Containers go, and the anonymous volumes with them."""
    if doomed := list(names):
        docker("rm", "--force", "--volumes", *doomed)


def remove_and_wait(name: str) -> None:
    """Until the name is free: an engine that is already removing a container refuses to wait."""
    deadline = time.monotonic() + 30
    while inspect("container", name):
        if time.monotonic() > deadline:
            raise LabError(f"the container {name} cannot be removed")
        docker("rm", "--force", "--volumes", name, check=False)
        time.sleep(0.1)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The few questions and orders the lab has for the engine, through its command line client."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, Any

from lab import sh
from lab.names import LABEL, LABEL_CONFIG, LABEL_IMAGE, PREFIX


@dataclass(frozen=True)
class Present:
    """A container of ours as the engine knows it."""

    name: str
    state: str
    config: str
    image: str


def docker(*args: str, check: bool = True, stdin: IO[bytes] | None = None) -> str:
    return sh.capture(["docker", *args], check=check, stdin=stdin).stdout.strip()


def containers() -> dict[str, Present]:
    columns = (
        "{{.Names}}",
        "{{.State}}",
        *(f'{{{{.Label "{k}"}}}}' for k in (LABEL_CONFIG, LABEL_IMAGE)),
    )
    lines = docker("ps", "--all", "--filter", f"label={LABEL}=1", "--format", "|".join(columns))
    found = (Present(*line.split("|")) for line in lines.splitlines())
    return {present.name: present for present in found}


def images() -> dict[str, str]:
    """Our image references and their ids."""
    columns = "{{.Repository}}:{{.Tag}}|{{.ID}}"
    lines = docker("images", "--no-trunc", f"--filter=reference={PREFIX}/*", "--format", columns)
    return dict(line.split("|", 1) for line in lines.splitlines())


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """What the engine knows about one image, network or container; None if it has no such thing."""
    text = docker(kind, "inspect", name, check=False)
    found: list[dict[str, Any]] = json.loads(text or "[]")
    return found[0] if found else None

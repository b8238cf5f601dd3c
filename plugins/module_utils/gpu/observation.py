# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was found out about a host and its Ollama, before it is judged. Private."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .facts import Facts
from .injection import Injection


@dataclass(frozen=True)
class Engine:
    """The container engine. C(cdi_spec_dirs): empty while CDI is off, None before there was CDI."""

    version: str = ""
    cdi_spec_dirs: tuple[str, ...] | None = None
    runtimes: tuple[str, ...] = ()
    # Whether nvidia-container-runtime-hook is there, which serves --gpus.
    has_hook: bool = False
    # What daemon.json says, whether or not the engine has read it; None when it is no JSON object.
    settings: Mapping[str, Any] | None = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Container:
    """Ollama's container. C(error): why it did not start the last time."""

    running: bool = True
    status: str = "running"
    injection: Injection = field(default_factory=Injection)
    error: str = ""


@dataclass(frozen=True)
class Attempt:
    """A run of nvidia-smi -L in a container. C(error): why it could not even run."""

    exit_code: int = 0
    output: str = ""
    error: str = ""


@dataclass(frozen=True)
class Loaded:
    """A model in memory, in the server's own numbers of bytes."""

    name: str
    size: int
    size_vram: int

    @property
    def share(self) -> float | None:
        """How many percent of it a GPU holds, never rounded up; None if the numbers cannot be."""
        if self.size <= 0 or self.size_vram > self.size:
            return None
        return self.size_vram * 1000 // self.size / 10


@dataclass(frozen=True)
class Prompted:
    """What a real question just gave. C(loaded): where the model was while it answered."""

    tokens_per_second: float | None = None
    loaded: Loaded | None = None


@dataclass(frozen=True)
class Observation:
    """Everything the gate judges. What was not looked at is None."""

    facts: Facts
    engine: Engine
    # What Ollama's container is called, whether or not there is one.
    name: str = "ollama"
    container: Container | None = None
    trial: Attempt | None = None
    cuda_image: str = ""
    cuda: Attempt | None = None
    inside: Attempt | None = None
    # /api/ps; None when it did not answer, for which api_error is the reason.
    loaded: tuple[Loaded, ...] | None = ()
    api_error: str = ""
    # Processes of the container in the host's numbers; None when the engine cannot tell.
    pids: tuple[int, ...] | None = None
    prompted: Prompted | None = None

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CDI specification of the host's GPUs: the file, and what it should say. Private."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import programs

PROGRAMS = ("usr/bin/nvidia-ctk", "usr/local/bin/nvidia-ctk")
DEFAULT_PATH = "/var/run/cdi/nvidia.yaml"
SPEC_DIRS = ("/etc/cdi", "/var/run/cdi")
NOT_INSTALLED = "not_installed"
FAILED = "failed"
MISSING = "missing"
STALE = "stale"
STRAY = "stray"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, for programs and for people."""

    code: str
    reason: str


@dataclass(frozen=True)
class Spec:
    """The file at C(path) as it is (C(present)) and as nvidia-ctk would write it (C(fresh)).

    C(devices) are the names that the file offers now.
    """

    path: str
    program: str | None
    fresh: str | None
    present: str | None
    devices: tuple[str, ...]
    strays: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def reasons(self) -> list[str]:
        """Why it is not right; empty when it is."""
        return [problem.reason for problem in self.problems]


def read(
    path: str | None = None,
    spec_dirs: Sequence[str] = SPEC_DIRS,
    root: str = "/",
    run: programs.Run = programs.run,
) -> Spec:
    """The specification at this path, by default where nvidia-cdi-refresh.service writes it."""
    raise NotImplementedError


def devices(text: str | None) -> tuple[str, ...]:
    """Names of the devices in a specification."""
    raise NotImplementedError

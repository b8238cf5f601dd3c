# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nvidia-smi in containers: in a throw-away one, and in one that runs. Private."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any

from ..host import docker_api
from .injection import TRIAL_LABEL
from .observation import Attempt


def run_once(config: dict[str, Any], timeout: float, root: str = "/") -> Attempt:
    """How a new container of this configuration ended; it is gone afterwards."""
    try:
        with _container(config, root) as ident:
            docker_api.start(ident, root=root)
            exit_code = docker_api.wait(ident, timeout, root=root)
            return Attempt(exit_code, docker_api.logs(ident, root=root))
    except docker_api.EngineError as error:
        return Attempt(error=_why(error))


def look_inside(container: str, timeout: float, root: str = "/") -> Attempt:
    """What nvidia-smi lists in a running container."""
    try:
        done = docker_api.execute(container, ["nvidia-smi", "-L"], timeout, root=root)
    except docker_api.EngineError as error:
        return Attempt(error=_why(error))
    return Attempt(done.exit_code, done.output)


def remove_leftovers(timeout: float, root: str = "/") -> None:
    """Remove what a run that was killed left behind."""
    # A trial that still has its time may be somebody else's.
    oldest = time.time() - 2 * timeout
    for left in docker_api.labelled(TRIAL_LABEL, root=root):
        if left["Created"] < oldest:
            docker_api.remove(left["Id"], root=root)


@contextlib.contextmanager
def _container(config: dict[str, Any], root: str) -> Iterator[str]:
    name = f"edgellm-gpu-trial-{secrets.token_hex(4)}"
    ident = docker_api.create(name, config, root=root)
    try:
        yield ident
    finally:
        # One that cannot be removed now is found by its label the next time.
        with contextlib.suppress(docker_api.EngineError):
            docker_api.remove(ident, root=root)


def _why(error: docker_api.EngineError) -> str:
    if isinstance(error, docker_api.EngineRefused):
        return error.said
    if isinstance(error, docker_api.EngineSilent):
        return f"nvidia-smi did not end within {error.seconds:g} s"
    return str(error)

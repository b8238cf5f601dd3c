# SPDX-License-Identifier: GPL-3.0-or-later
"""`lab down` and `lab clean`: what the lab made goes again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lab import build, docker, engine, network, packages, say, state, status
from lab.host import detect
from lab.names import LABEL


def down() -> dict[str, Any]:
    """Containers and network go; images and data stay for the next time."""
    if engine.version() is None:
        return {"containers": [], "engine": "does not answer"}
    gone = sorted(docker.containers())
    if gone:
        say.step(f"removing {', '.join(gone)}")
    network.remove()
    _drop_volumes("box")
    return {"containers": gone}


def clean() -> dict[str, Any]:
    """All that the lab made goes; the engine too, if the lab brought it and nobody else uses it."""
    host = detect()
    known = state.read()
    if engine.version() is None and "engine" in known and shutil.which("dockerd"):
        engine.ensure(host)  # only it can take away what is in it
    before = status.status()["disk"]["total"]
    answers = engine.version() is not None
    if answers:
        down()
        _drop_images()
        _drop_volumes("data")
    elif Path("/var/lib/docker").exists() and not known:
        say.step("no engine answers: what the lab left in it stays until it runs again")
    say.step("removing the cache (.lab/)")
    shutil.rmtree(state.LOCAL, ignore_errors=True)
    about_engine = engine.give_back(host)
    packages.purge(build.PURPOSE)
    # The logs of installing and removing are the cache's last words.
    shutil.rmtree(state.LOCAL, ignore_errors=True)
    if state.MACHINE.exists() and set(state.read()) <= {"kept_paths"}:
        shutil.rmtree(state.MACHINE)
    return {"engine": about_engine, "bytes_given_back": before - status.status()["disk"]["total"]}


def _drop_images() -> None:
    references = list(docker.images())
    if references:
        say.step(f"removing {len(references)} images")
        docker.docker("rmi", "--force", *references)
    docker.docker("image", "prune", "--force", "--filter", f"label={LABEL}=1")


def _drop_volumes(kind: str) -> None:
    found = docker.docker("volume", "ls", "--quiet", "--filter", f"label={LABEL}={kind}").split()
    if found:
        say.step(f"removing {len(found)} volumes")
        docker.docker("volume", "rm", *found)

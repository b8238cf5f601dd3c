# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the machine's own distribution: what would come, bring it, take it away again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from lab import say, sh, state
from lab.errors import LabError
from lab.host import Host

_NEW_LINE = re.compile(r"^Inst (\S+) (\[)?")
_GONE = re.compile(r"^(?:Remv|Purg) (\S+)", re.MULTILINE)


def newly_installed(simulation: str) -> list[str]:
    """The packages an `apt-get --simulate install` would add (not those it would upgrade)."""
    lines = (_NEW_LINE.match(line) for line in simulation.splitlines())
    return sorted(match[1] for match in lines if match and not match[2])


def removed(simulation: str) -> set[str]:
    """The packages an `apt-get --simulate purge` would take away."""
    return set(_GONE.findall(simulation))


def command(wanted: list[str]) -> str:
    return f"sudo apt-get install --no-install-recommends {' '.join(wanted)}"


def install(host: Host, purpose: str, wanted: list[str]) -> None:
    """Install what is wanted, or say what to type where installing is not ours to do."""
    if not host.apt:
        raise LabError(f"{purpose}: please install {', '.join(wanted)} and start again")
    if not host.root:
        raise LabError(
            f"{purpose}: not installed, and not ours to install. Type:\n  {command(wanted)}"
        )
    say.step(f"{purpose}: installing {' '.join(wanted)} from the distribution's archive")
    new = _simulated(wanted)
    recorded = state.read().get("packages", {})
    # Recorded before it is done: a run killed half-way must still be undone by `lab clean`.
    mine = sorted({*recorded.get(purpose, []), *new})
    state.update(packages={**recorded, purpose: mine})
    _apt("install", "-y", *wanted, log="apt-install")


def purge(purpose: str) -> list[str]:
    """Take away what `install` brought for this purpose, unless something else came to need it."""
    recorded = dict(state.read().get("packages", {}))
    present = [name for name in recorded.get(purpose, []) if _installed(name)]
    if present:
        simulation = sh.capture(["apt-get", "--simulate", "purge", *present], env=_env()).stdout
        others = removed(simulation) - set(present)
        if others:
            say.step(f"{purpose}: kept, because {', '.join(sorted(others))} needs it now")
            return []
        say.step(f"{purpose}: removing the packages that the lab installed: {' '.join(present)}")
        _apt("purge", "-y", *present, log="apt-purge")
    recorded.pop(purpose, None)
    state.update(packages=recorded or None)
    return present


def _simulated(wanted: list[str]) -> list[str]:
    argv = ["apt-get", "--simulate", "--no-install-recommends", "install", *wanted]
    done = sh.capture(argv, check=False, env=_env())
    if done.returncode != 0:
        say.step("reading the archive's package lists")
        # A foreign repository that does not answer is no reason to stop: the next command decides.
        sh.capture(["apt-get", "update"], check=False, env=_env())
        done = sh.capture(argv, env=_env())
    return newly_installed(done.stdout)


def _apt(*args: str, log: str) -> None:
    argv = ["apt-get", "-oDPkg::Lock::Timeout=300", "--no-install-recommends", *args]
    path = state.local_dir("log") / f"{log}.log"
    try:
        sh.logged(argv, path, env=_env(), ends_with_us=False)
    except LabError:
        # Lists older than the archive name files that are gone; a killed run leaves work half done.
        say.step("once more, with fresh package lists")
        sh.capture(["dpkg", "--configure", "--pending"], check=False, env=_env())
        sh.capture(["apt-get", "update"], check=False, env=_env())
        sh.logged(argv, path, env=_env(), ends_with_us=False)


def installed_bytes(names: Iterable[str]) -> int:
    """What the packages take on the disk, as they say themselves."""
    argv = ["dpkg-query", "-W", "-f=${Installed-Size} ${db:Status-Status}\\n", *names]
    lines = (line.split() for line in sh.capture(argv, check=False).stdout.splitlines())
    return sum(int(line[0]) * 1024 for line in lines if line[1:] == ["installed"])


def _installed(name: str) -> bool:
    status = sh.capture(["dpkg-query", "-W", "-f=${db:Status-Status}", name], check=False).stdout
    return status not in {"", "not-installed"}


def _env() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}

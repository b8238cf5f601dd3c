# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host and its Ollama are like right now, gathered for the gate. Private."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..host import docker_api
from . import facts, gate, injection, smi, trial
from .observation import Attempt, Container, Engine, Loaded, Observation, Prompted

_HOOK = "usr/bin/nvidia-container-runtime-hook"
_SETTINGS = "etc/docker/daemon.json"
_PORT = 11434
_PATIENCE = 10
# The server went away in the middle, something else listens there, or the answer has another form.
_NO_ANSWER = (
    *(OSError, http.client.HTTPException),
    *(ValueError, KeyError, TypeError, AttributeError),
)


@dataclass(frozen=True)
class Questions:
    """What is looked at. C(url): empty for the container's own address."""

    container: str = "ollama"
    url: str = ""
    expect: gate.Expect = "auto"
    trial: bool = False
    cuda_image: str = ""
    # None for where nvidia-cdi-refresh.service writes it.
    cdi_path: str | None = None
    prompted: Prompted | None = None
    timeout: float = 60


def gather(asked: Questions, root: str = "/") -> Observation:
    """Everything the gate needs; what lies behind a broken link is not asked for."""
    engine, inspected = _engine(asked.container, root)
    seen = Observation(
        facts=facts.read(root, cdi_path=asked.cdi_path),
        engine=engine,
        name=asked.container,
        container=_container(inspected) if inspected else None,
        prompted=asked.prompted,
    )
    if not gate.expected(asked.expect, seen):
        return seen
    url = asked.url or _address(inspected or {})
    loaded, error = _loaded(url)
    seen = replace(seen, loaded=loaded, api_error=error)
    given = seen.container is not None and seen.container.injection.kind != "none"
    if inspected is None or not given or seen.facts.smi.problem:
        return seen
    seen = _containers(asked, seen, inspected, root)
    return _memory(seen, url, root) if seen.inside and loaded else seen


def _memory(seen: Observation, url: str, root: str) -> Observation:
    """What lies in memory, by both witnesses: only models that stayed loaded all the while."""
    before = {model.name for model in seen.loaded or ()}
    found = replace(seen.facts, smi=smi.read(root))
    loaded, error = _loaded(url)
    stayed = None if loaded is None else tuple(m for m in loaded if m.name in before)
    return replace(seen, facts=found, loaded=stayed, api_error=error)


def _containers(
    asked: Questions, seen: Observation, inspected: dict[str, Any], root: str
) -> Observation:
    """What nvidia-smi says in containers, and which processes are Ollama's."""
    if asked.trial:
        with contextlib.suppress(docker_api.EngineError):
            trial.remove_leftovers(asked.timeout, root)
        seen = replace(seen, trial=_try(asked, inspected, root))
        if asked.cuda_image:
            seen = replace(
                seen,
                cuda_image=asked.cuda_image,
                cuda=_try(asked, inspected, root, asked.cuda_image),
            )
    if seen.container is None or not seen.container.running:
        return seen
    inside = trial.look_inside(inspected["Id"], asked.timeout, root)
    return replace(seen, inside=inside, pids=_pids(inspected["Id"], root))


def _try(
    asked: Questions, inspected: dict[str, Any], root: str, image: str | None = None
) -> Attempt:
    return trial.run_once(injection.trial(inspected, image), asked.timeout, root)


def _engine(name: str, root: str) -> tuple[Engine, dict[str, Any] | None]:
    try:
        said = docker_api.get("/info", root=root, timeout=_PATIENCE)
        inspected = docker_api.inspect(name, root=root)
    except docker_api.EngineError as error:
        return Engine(error=str(error)), None
    folders = said.get("CDISpecDirs")
    engine = Engine(
        version=str(said.get("ServerVersion", "")),
        cdi_spec_dirs=None if folders is None else tuple(folders),
        runtimes=tuple(sorted(said.get("Runtimes") or {})),
        has_hook=Path(root, _HOOK).exists(),
        settings=_settings(root),
    )
    return engine, inspected


def _settings(root: str) -> dict[str, Any] | None:
    try:
        text = Path(root, _SETTINGS).read_text("utf-8-sig")
        said = json.loads(text) if text.strip() else {}
    except OSError:
        return {}
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _container(inspected: dict[str, Any]) -> Container:
    state = inspected.get("State") or {}
    return Container(
        running=state.get("Running") is True and not state.get("Restarting"),
        status=str(state.get("Status", "")),
        injection=injection.read(inspected),
        error=" ".join(str(state.get("Error") or "").split()),
    )


def _address(inspected: dict[str, Any]) -> str:
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = (network.get("IPAddress") for network in networks.values())
    host = next(filter(None, addresses), "127.0.0.1")
    return f"http://{host}:{_PORT}"


def _loaded(url: str) -> tuple[tuple[Loaded, ...] | None, str]:
    """What the server has in memory, or None and why it does not say."""
    # Straight to the server: a proxy from the environment is never meant for it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}/api/ps", timeout=_PATIENCE) as answer:
            models = json.load(answer).get("models") or []
        loaded = tuple(
            Loaded(str(model["name"]), int(model["size"]), int(model.get("size_vram") or 0))
            for model in models
        )
    except urllib.error.URLError as error:
        return None, f"{url} ({error.reason})"
    except _NO_ANSWER as error:
        return None, f"{url} ({error or type(error).__name__})"
    return loaded, ""


def _pids(ident: str, root: str) -> tuple[int, ...] | None:
    try:
        return docker_api.pids(ident, root=root)
    except (docker_api.EngineError, LookupError, ValueError):
        # The engine needs ps for it, which a small host may lack.
        return None

# SPDX-License-Identifier: GPL-3.0-or-later
"""The origin as one ASGI application."""

from __future__ import annotations

import typing as t
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware

from lab.origin.control import control_routes
from lab.origin.faults import Faults, Misbehave
from lab.origin.huggingface import Hub, hub_cdn_routes, hub_routes
from lab.origin.record import Recorder, RecordRequests
from lab.origin.registry import Registry, cdn_routes, registry_routes
from lab.origin.shared import SharedFile
from lab.origin.signing import Signer
from lab.origin.static import static_routes

Role = t.Literal["origin", "cdn", "both"]


def create_app(
    root: Path, *, cdn_host: str | None = None, role: Role = "both", record: Path | None = None
) -> Starlette:
    """Serve the data under `root`.

    `cdn_host` (`host` or `host:port`) is where blob requests are redirected to; without it blobs
    are answered in place, as a LAN mirror does. `both` plays origin and CDN in one process.
    """
    root = Path(root)
    recorder = Recorder(record or root / "record.jsonl")
    registry = Registry(root / "registry", cdn_host)
    signer = Signer(root)
    hub = Hub(root / "hf", cdn_host, signer)
    faults = Faults(SharedFile(root / "faults.json", []))
    routes = control_routes(recorder, role, faults, signer)
    if role in ("origin", "both"):
        routes += registry_routes(registry)
        routes += hub_routes(hub)
        routes += static_routes("/files", root / "files")
        routes += static_routes("/apt", root / "apt")
    if role in ("cdn", "both"):
        routes += cdn_routes(registry)
        routes += hub_cdn_routes(hub)
    middleware = [
        Middleware(RecordRequests, recorder=recorder),
        Middleware(Misbehave, faults=faults),
    ]
    app = Starlette(routes=routes, middleware=middleware)
    app.state.recorder = recorder
    return app

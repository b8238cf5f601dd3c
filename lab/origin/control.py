# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab itself asks of the origin: health, the record, misbehaviour, settings."""

from __future__ import annotations

import typing as t

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lab.origin.faults import BadRule, Faults
from lab.origin.record import CONTROL_PREFIX, Recorder
from lab.origin.signing import LIFETIME, Signer

_METHODS = ["GET", "POST", "DELETE"]


def control_routes(
    recorder: Recorder, role: str, faults: Faults, signer: Signer
) -> list[BaseRoute]:
    """Return the control endpoints; none of them is recorded."""

    def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "role": role})

    def mark(_request: Request) -> Response:
        return JSONResponse({"next": recorder.mark()})

    def since(request: Request) -> Response:
        text = request.query_params.get("since", "0")
        if not text.isdecimal():
            return JSONResponse({"error": "since must be a number"}, status_code=400)
        return Response(recorder.since(int(text)), media_type="application/x-ndjson")

    return [
        Route(CONTROL_PREFIX + "health", health),
        Route(CONTROL_PREFIX + "record", since),
        Route(CONTROL_PREFIX + "record/mark", mark),
        _fault_route(faults),
        _settings_route(signer),
    ]


def _fault_route(faults: Faults) -> BaseRoute:
    async def rules(request: Request) -> Response:
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            try:
                faults.add(await _json(request))
            except BadRule as exc:
                return JSONResponse({"error": str(exc)}, status_code=400)
        return JSONResponse(faults.list())

    return Route(CONTROL_PREFIX + "faults", rules, methods=_METHODS)


def _settings_route(signer: Signer) -> BaseRoute:
    async def settings(request: Request) -> Response:
        if request.method == "DELETE":
            signer.lifetime = LIFETIME
        elif request.method == "POST":
            wanted = await _json(request)
            seconds = wanted.get("signed_url_lifetime") if isinstance(wanted, dict) else None
            if not isinstance(seconds, int) or seconds < 0 or len(wanted) != 1:
                error = "signed_url_lifetime is the only setting, in whole seconds"
                return JSONResponse({"error": error}, status_code=400)
            signer.lifetime = seconds
        return JSONResponse({"signed_url_lifetime": signer.lifetime})

    return Route(CONTROL_PREFIX + "settings", settings, methods=_METHODS)


async def _json(request: Request) -> t.Any:
    try:
        return await request.json()
    except ValueError:
        return None

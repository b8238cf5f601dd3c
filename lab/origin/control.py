# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab itself asks the origin: is it up, and what was requested since when."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lab.origin.record import CONTROL_PREFIX, Recorder


def control_routes(recorder: Recorder, role: str) -> list[BaseRoute]:
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
    ]

# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain files under a prefix: the file server and the APT repositories."""

from __future__ import annotations

import mimetypes
import typing as t
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from lab.origin.body import FileBody


def static_routes(prefix: str, directory: Path) -> list[BaseRoute]:
    """Serve the files below `directory` under `prefix`, with ranges and validators."""

    def answer(request: Request) -> Response:
        path = resolve(directory, request.path_params["path"])
        if path is None:
            return PlainTextResponse("404 not found\n", status_code=404)
        return FileBody(path, content_type=content_type(path))

    endpoint: t.Callable[[Request], Response] = answer
    return [Route(prefix + "/{path:path}", endpoint, methods=["GET", "HEAD"])]


def resolve(directory: Path, relative: str) -> Path | None:
    """Return the regular file that `relative` names inside `directory`, or None."""
    root = directory.resolve()
    path = (root / relative).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


def content_type(path: Path) -> str:
    """Guess a media type; compressed files are sent as they are, never as a content coding."""
    guessed, encoding = mimetypes.guess_type(path.name)
    return guessed if guessed and encoding is None else "application/octet-stream"

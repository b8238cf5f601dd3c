# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ollama registry protocol: manifests verbatim, blobs by way of another host name.

Layout under `<root>/registry`: `manifests/<namespace>/<model>/<tag>` and `blobs/sha256-<hex>`. An
optional `requires.json` maps `namespace/model:tag` to the oldest server version that may pull it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from lab.origin.body import FileBody

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_PART = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$")
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_AGENT_VERSION = re.compile(r"^ollama/v?(\d+)\.(\d+)\.(\d+)")
TOO_OLD = (
    "\nThe model you are attempting to pull requires a newer version of Ollama.\n\n"
    "Please download the latest version at:\n\n\thttps://ollama.com/download\n\n"
)


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status_code=status)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-")[0].lstrip("v").split("."))


@dataclasses.dataclass(frozen=True)
class Registry:
    """The endpoints over one store directory."""

    root: Path
    cdn_host: str | None

    def manifest(self, request: Request) -> Response:
        """Answer with the manifest's raw bytes, or 404, or 412 for a server that is too old."""
        parts = [request.path_params[key] for key in ("namespace", "model", "tag")]
        if not all(_PART.match(part) for part in parts):
            return _error(404, "NAME_INVALID", "invalid name")
        path = self.root.joinpath("manifests", *parts)
        if not path.is_file():
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if self._too_old("{}/{}:{}".format(*parts), request.headers.get("user-agent", "")):
            return PlainTextResponse(TOO_OLD, status_code=412)
        return Response(path.read_bytes(), media_type=MANIFEST_TYPE)

    def blob(self, request: Request) -> Response:
        """Answer HEAD with the size and GET with the address of the bytes."""
        path = self._blob_path(request.path_params["digest"])
        if path is None:
            return _error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if request.method == "HEAD" or self.cdn_host is None:
            # Without a second host name the client stays here: it needs a Location all the same.
            return FileBody(path, extra_headers={"location": request.url.path})
        return RedirectResponse(self._cdn_url(request, path), status_code=307)

    def cdn_blob(self, request: Request) -> Response:
        """Answer with the bytes themselves, whole or in ranges."""
        path = self._blob_path(request.path_params["digest"])
        if path is None:
            return _error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        return FileBody(path)

    def _blob_path(self, digest: str) -> Path | None:
        path = self.root / "blobs" / digest.replace(":", "-")
        return path if _DIGEST.match(digest) and path.is_file() else None

    def _cdn_url(self, request: Request, path: Path) -> str:
        host = t.cast(str, self.cdn_host)
        if ":" not in host and request.url.port:
            host = f"{host}:{request.url.port}"
        return f"http://{host}/ollama/blobs/{path.name.replace('-', ':')}"

    def _too_old(self, name: str, user_agent: str) -> bool:
        table = self.root / "requires.json"
        needed = json.loads(table.read_bytes()).get(name) if table.is_file() else None
        match = _AGENT_VERSION.match(user_agent)
        if needed is None or match is None:
            return False
        return tuple(int(part) for part in match.groups()) < _version(needed)


def registry_routes(registry: Registry) -> list[BaseRoute]:
    """Return the routes of the registry host."""
    prefix = "/v2/{namespace}/{model}"
    return [
        # The public registry does not answer HEAD on manifests dependably, so this one never does.
        Route(prefix + "/manifests/{tag}", _get_only(registry.manifest)),
        Route(prefix + "/blobs/{digest}", registry.blob, methods=["GET", "HEAD"]),
    ]


def cdn_routes(registry: Registry) -> list[BaseRoute]:
    """Return the routes of the host name that blobs are redirected to."""
    return [Route("/ollama/blobs/{digest}", registry.cdn_blob, methods=["GET", "HEAD"])]


def _get_only(endpoint: t.Callable[[Request], Response]) -> t.Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        return endpoint(request) if request.method == "GET" else Response(status_code=404)

    return answer

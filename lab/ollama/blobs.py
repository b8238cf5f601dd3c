# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/blobs/<digest>`: is it there, and uploads."""

from __future__ import annotations

import errno
import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lab.ollama.errors import ApiError
from lab.ollama.store import Store

_PATH = re.compile(r"^sha256[:-][0-9a-fA-F]{64}$")


def routes(store: Store) -> list[BaseRoute]:
    """Return the two endpoints over one store."""

    async def answer(request: Request) -> Response:
        digest = request.path_params["digest"]
        if not _PATH.match(digest):
            raise ApiError("invalid digest format", 400)
        if request.method == "HEAD":
            if not store.blob_path(digest).exists():
                raise ApiError("not found", 404)
            return Response(status_code=200)
        if store.blob_path(digest).exists():
            return Response(status_code=200)
        await _receive(store, request, digest)
        return Response(status_code=201)

    return [Route("/api/blobs/{digest}", answer, methods=["HEAD", "POST"])]


async def _receive(store: Store, request: Request, digest: str) -> None:
    """Store the body under the digest it really has; complain if that is another one."""
    checksum = hashlib.sha256()
    with store.new_file() as (file, temporary):
        try:
            async for chunk in request.stream():
                checksum.update(chunk)
                file.write(chunk)
            file.close()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise ApiError(f"write {temporary}: no space left on device") from None
            raise
        got = f"sha256:{checksum.hexdigest()}"
        temporary.replace(store.blob_path(got))
    if got != digest:
        raise ApiError(f'digest mismatch, expected "{digest}", got "{got}"', 400)

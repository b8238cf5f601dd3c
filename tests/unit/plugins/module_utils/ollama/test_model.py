# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in cannot do wrong; all else is in the modules' tests."""

from __future__ import annotations

import asyncio
import json

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import (
    errors,
    model,
    names,
    plan,
    registry,
)
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Client
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

LAYER = {"mediaType": "m", "digest": "sha256:" + "a" * 64, "size": 100}
RAW = json.dumps({"schemaVersion": 2, "config": LAYER, "layers": []}).encode()


@pytest.fixture
def install(served):
    """Have a model installed by a server that pulls like this."""

    def install(lines, *, timeout=5, tags=()):
        async def manifest(_request):
            return Response(RAW)

        async def version(_request):
            return JSONResponse({"version": "0.32.15"})

        async def listed(_request):
            return JSONResponse({"models": list(tags)})

        async def blob(_request):
            return Response(status_code=404)

        async def pull(_request):
            return StreamingResponse(lines())

        async def copy(_request):
            return Response()

        mirror = served(Starlette(routes=[Route("/v2/library/x/manifests/latest", manifest)]))
        url = served(
            Starlette(
                routes=[
                    Route("/api/version", version),
                    Route("/api/tags", listed),
                    Route("/api/blobs/{digest}", blob, methods=["HEAD"]),
                    Route("/api/pull", pull, methods=["POST"]),
                    Route("/api/copy", copy, methods=["POST"]),
                    Route("/api/delete", copy, methods=["DELETE"]),
                ]
            )
        )
        name = names.parse("x")
        wanted = plan.Wanted(name, "present", registry.place(name, mirror), mirrored=True)
        with Client(url, timeout=timeout) as client:
            return model.ensure(client, wanted, check_mode=False)

    return install


async def stalled():
    # The server goes on sending lines although no byte arrives.
    while True:
        yield json.dumps({**LAYER, "status": "pulling", "total": 100, "completed": 40}) + "\n"
        await asyncio.sleep(0.05)


async def succeeded():
    yield '{"status":"success"}\n'


def test_download_that_stalls_is_given_up(install):
    with pytest.raises(errors.Silent, match=r"got no byte for 0\.3 s\. Is http://127.* reachable"):
        install(stalled, timeout=0.3)


def test_success_without_a_model_is_a_failure(install):
    # A proxy or a bug may say anything; what counts is what the server lists afterwards.
    with pytest.raises(errors.OllamaError, match="was pulled with the digest None"):
        install(succeeded)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in cannot do wrong; all else is in the module's tests."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import (
    create,
    creation,
    errors,
    files,
    names,
    recipe,
)
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Client
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SHA, LIVE = "a" * 64, "1" * 64
NAME = names.parse("tiny")


def shown(temperature="0.7"):
    return {
        "modelfile": f"FROM /models/blobs/sha256-{SHA}\n",
        "parameters": f"temperature                    {temperature}",
    }


@pytest.fixture
def creating(served, tmp_path):
    """Create a model on a server that answers like this."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF and more")
    weights = recipe.Weights(str(path), SHA)
    wanted = recipe.make(NAME, weights, "FROM tiny.gguf\nPARAMETER temperature 0.7\n")

    def run(lines, *, show=None, blob=201, appears=True):
        done = []

        async def tags(_request):
            entry = {"name": "tiny:latest", "digest": LIVE, "size": 1, "model": "tiny:latest"}
            return JSONResponse({"models": [entry] if done and appears else []})

        async def version(_request):
            return JSONResponse({"version": "0.24.0"})

        async def blobs(request):
            return Response(status_code=404 if request.method == "HEAD" else blob)

        async def made(_request):
            done.append(True)
            body = "".join(json.dumps(line) + "\n" for line in lines)
            return StreamingResponse(iter([body.encode()]))

        async def showing(_request):
            return JSONResponse(show or shown())

        routes = [
            Route("/api/tags", tags),
            Route("/api/version", version),
            Route("/api/blobs/{digest}", blobs, methods=["HEAD", "POST"]),
            Route("/api/create", made, methods=["POST"]),
            Route("/api/show", showing, methods=["POST"]),
        ]
        with Client(served(Starlette(routes=routes)), timeout=5) as client:
            return create.ensure(client, creation.Wanted(wanted), None, check_mode=False)

    return run


SUCCESS = [{"status": "parsing GGUF"}, {"status": "success"}]


def test_create_that_ends_with_success_is_read_back(creating):
    assert creating(SUCCESS).model["digest"] == LIVE


def test_error_line_after_200_is_a_failure(creating):
    with pytest.raises(errors.ApiError, match="supplied file was not in GGUF format"):
        creating([{"status": "parsing GGUF"}, {"error": "supplied file was not in GGUF format"}])


@pytest.mark.parametrize("lines", [[], [{"status": "parsing GGUF"}]])
def test_stream_that_ends_early_is_a_failure(creating, lines):
    with pytest.raises(errors.StreamCut, match="ended without success"):
        creating(lines)


def test_refused_upload_is_a_failure(creating):
    with pytest.raises(errors.ApiError, match="HTTP 500"):
        creating(SUCCESS, blob=500)


def test_success_that_is_not_seen_afterwards_is_a_failure(creating):
    with pytest.raises(errors.OllamaError, match="something else now: parameters"):
        creating(SUCCESS, show=shown(temperature="0.1"))
    with pytest.raises(errors.OllamaError, match="something else now"):
        creating(SUCCESS, appears=False)


@pytest.mark.parametrize("size", [5, 99])
def test_file_that_changes_under_way_is_a_failure(creating, monkeypatch, size):
    measure = files.measure

    def lie(weights, **options):
        return dataclasses.replace(measure(weights, **options), size=size)

    monkeypatch.setattr(files, "measure", lie)
    with pytest.raises(errors.OllamaError, match="changed while it was uploaded"):
        creating(SUCCESS)


def test_size_that_is_not_the_files_is_refused(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(Refused, match="has 4 bytes, not the 5 of gguf_size"):
        files.measure(recipe.Weights(str(path), SHA, 5), check_mode=False)

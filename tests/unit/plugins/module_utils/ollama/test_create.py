# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions by table, and what the stand-in cannot do wrong; all else is in the module's tests."""

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
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Client, Installed
from ansible_collections.edgellm.host.plugins.module_utils.ollama.creation import State
from ansible_collections.edgellm.host.plugins.module_utils.ollama.record import Origin
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SHA, OTHER = "a" * 64, "b" * 64
LIVE, EDITED = "1" * 64, "2" * 64
NAME = names.parse("tiny")
RECIPE = recipe.make(
    NAME,
    recipe.Weights("/srv/tiny.gguf", SHA, 1000),
    "FROM tiny.gguf\nPARAMETER temperature 0.7\n",
)
WANTED = creation.Wanted(RECIPE)
CURRENT = Installed(NAME, LIVE, 1010)
HAND_EDITED = Installed(NAME, EDITED, 1010)


def shown(sha=SHA, temperature="0.7"):
    return {
        "modelfile": f"FROM /models/blobs/sha256-{sha}\n",
        "parameters": f"temperature                    {temperature}",
    }


def origin(spec=RECIPE.spec, digest=LIVE, sha=SHA, version="0.24.0"):
    return Origin(spec, digest, gguf_sha256=sha, server_version=version)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State(), True),
        # The record and the live digest decide, and nothing else.
        (State(CURRENT, {}, origin()), False),
        (State(CURRENT, shown(OTHER, "0.1"), origin()), False),
        (State(CURRENT, shown(), origin(spec="other")), True),
        (State(HAND_EDITED, shown(temperature="0.1"), origin()), True),
        (State(HAND_EDITED, shown(), origin()), True),
        (State(None, {}, origin()), True),
        # Another version of the server is no change.
        (State(CURRENT, {}, origin(version="0.9.0"), "0.33.0"), False),
        # Without a record, what can be seen.
        (State(CURRENT, shown(), None, "0.24.0"), False),
        (State(CURRENT, shown(temperature="0.1"), None, "0.24.0"), True),
        (State(CURRENT, shown(OTHER), None, "0.24.0"), True),
        (State(CURRENT, shown(OTHER), None, "0.30.0"), False),
        (State(CURRENT, shown(OTHER), None, "0.33.0-rc2"), False),
        (State(CURRENT, shown(OTHER), None, "0.0.0"), False),
        (State(CURRENT, shown(OTHER, "0.1"), None, "0.33.0"), True),
    ],
)
def test_model_is_created_only_when_it_is_another(state, expected):
    assert creation.needs_create(WANTED, state) is expected
    assert creation.decide(WANTED, state).changed is expected


@pytest.mark.parametrize(
    ("here", "actions"),
    [(False, [("upload", 1000, 0), ("create", 0, 0)]), (True, [("create", 0, 1000)])],
)
def test_only_what_the_server_lacks_is_uploaded(here, actions):
    planned = creation.decide(
        WANTED, State(blobs_here=frozenset({f"sha256:{SHA}"} if here else ()))
    )
    steps = planned.to_result()["actions"]
    assert [(s["action"], s["bytes_upload"], s["bytes_reuse"]) for s in steps] == actions
    assert planned.total("bytes_fetch") == 0


def test_diff_tells_the_parameters_that_differ():
    planned = creation.decide(
        WANTED, State(HAND_EDITED, shown(temperature="0.1"), origin(), "0.24")
    )
    assert planned.diff == {
        "before": {
            "name": "tiny:latest",
            "digest": EDITED,
            "size": 1010,
            "gguf_sha256": SHA,
            "parameters": {"temperature": 0.1},
        },
        "after": {
            "name": "tiny:latest",
            "gguf_sha256": SHA,
            "parameters": {"temperature": 0.7},
        },
    }


def test_diff_tells_the_weights_by_the_record_where_the_server_rewrote_them():
    state = State(CURRENT, shown("c" * 64), origin(spec="other", sha=OTHER), "0.33.0")
    assert creation.decide(WANTED, state).before["gguf_sha256"] == OTHER
    unknown = dataclasses.replace(state, current=HAND_EDITED)
    assert "gguf_sha256" not in creation.decide(WANTED, unknown).before


# --- a server that does it wrong -----------------------------------------------------------------


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

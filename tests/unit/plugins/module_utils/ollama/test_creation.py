# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions by table; what comes of them is in the module's tests."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import creation, names, recipe
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Installed
from ansible_collections.edgellm.host.plugins.module_utils.ollama.creation import State
from ansible_collections.edgellm.host.plugins.module_utils.ollama.record import Origin

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

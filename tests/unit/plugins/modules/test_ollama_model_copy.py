# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@pytest.fixture
def copy(run_module, ollama):
    def run(source, destination, **params):
        names = {"source": source, "destination": destination}
        return run_module("ollama_model_copy", **{"url": ollama.url, **names, **params})

    return run


@pytest.fixture
def offered(ollama, registry):
    """The digests of the installed models `new` and `old`."""
    digests = {}
    for name in ("new", "old"):
        digests[name] = registry.offer(name, weights=name)
        ollama.pull(name, registry)
    return digests


def sent(traffic):
    return [(seen.line, seen.json) for seen in traffic.requests if seen.mutates]


def test_model_gets_a_second_name(copy, ollama, offered, traffic):
    traffic.clear()
    result = copy("new", "me/assistant:v1")
    assert result["changed"] is True
    assert ollama.tags() == {
        "new:latest": offered["new"],
        "old:latest": offered["old"],
        "me/assistant:v1": offered["new"],
    }
    assert result["model"]["digest"] == offered["new"]
    assert result["model"]["full_name"] == "registry.ollama.ai/me/assistant:v1"
    assert result["model"]["family"] == "llama"
    assert (result["diff"]["before"], result["previous"]) == ({}, None)
    assert result["diff"]["after"]["digest"] == offered["new"]
    assert sent(traffic) == [
        ("POST /api/copy", {"source": "new:latest", "destination": "me/assistant:v1"})
    ]
    traffic.clear()
    again = copy("new", "me/assistant:v1")
    assert (again["changed"], again["copies"], sent(traffic)) == (False, [], [])
    assert again["model"] == result["model"]


def test_other_model_is_replaced(copy, ollama, offered):
    result = copy("new", "old")
    assert result["changed"] is True
    assert (result["diff"]["before"]["digest"], result["diff"]["after"]["digest"]) == (
        offered["old"],
        offered["new"],
    )
    assert result["previous"] is None
    assert ollama.tags() == {"new:latest": offered["new"], "old:latest": offered["new"]}


def test_replaced_model_is_kept_and_can_be_put_back(copy, ollama, offered):
    result = copy("new", "old", keep_previous=True)
    kept = f"old:latest-prev-{offered['old'][:12]}"
    assert result["previous"] == kept
    assert [step["name"] for step in result["copies"]] == [kept, "old:latest"]
    assert ollama.tags() == {
        "new:latest": offered["new"],
        "old:latest": offered["new"],
        kept: offered["old"],
    }
    assert copy("new", "old", keep_previous=True)["changed"] is False
    assert copy(result["previous"], "old")["diff"]["after"]["digest"] == offered["old"]
    # What is kept already is not written again.
    again = copy("new", "old", keep_previous=True)
    assert [step["name"] for step in again["copies"]] == ["old:latest"]
    assert again["previous"] == kept


def test_nothing_is_kept_where_nothing_was(copy, ollama, offered):
    assert copy("new", "fresh", keep_previous=True)["previous"] is None
    assert set(ollama.tags()) == {"new:latest", "old:latest", "fresh:latest"}


@pytest.mark.parametrize("check_mode", [True, False])
def test_name_for_what_is_kept_that_is_taken_is_refused(copy, ollama, offered, traffic, check_mode):
    kept = f"old:latest-prev-{offered['old'][:12]}"
    ollama.copy("new", kept)
    traffic.clear()
    result = copy("new", "old", keep_previous=True, check_mode=check_mode, fails=True)
    assert f"{kept}: that name is taken by another model" in result["msg"]
    assert sent(traffic) == []


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("destination", ["fresh", "old", "absent"])
def test_absent_source_is_refused_before_anything_is_sent(
    copy, ollama, offered, traffic, destination, check_mode
):
    traffic.clear()
    result = copy("absent", destination, check_mode=check_mode, fails=True)
    assert "source absent:latest is not installed" in result["msg"]
    assert sent(traffic) == []
    # A server that refuses it leaves an empty folder.
    assert not (ollama.store / "manifests/registry.ollama.ai/library/fresh").exists()


@pytest.mark.parametrize("destination", ["new", "NEW:Latest", "library/new"])
def test_model_onto_itself_is_unchanged(copy, offered, traffic, destination):
    traffic.clear()
    assert copy("new", destination, keep_previous=True)["changed"] is False
    assert sent(traffic) == []


def test_spelling_of_the_model_that_is_there_is_kept(copy, ollama, offered):
    result = copy("NEW", "OLD", keep_previous=True)
    assert result["model"]["name"] == "old:latest"
    assert result["diff"]["after"]["name"] == "old:latest"
    assert set(ollama.tags()) == {"new:latest", "old:latest", result["previous"]}


@pytest.mark.parametrize(
    ("source", "destination", "complaint"),
    [
        ("new", "a b", "Invalid model name 'a b'"),
        ("", "x", "empty"),
        ("new", "x:7b-cloud", "destination x:7b-cloud cannot be used"),
        ("x:local", "new", "source x:local cannot be used"),
    ],
)
def test_name_that_no_server_could_take_is_refused(copy, traffic, source, destination, complaint):
    assert complaint in copy(source, destination, fails=True)["msg"]
    assert traffic.lines() == []


def test_tag_without_room_for_what_is_kept_is_refused(copy, ollama, offered, traffic):
    long = f"old:{'t' * 70}"
    ollama.copy("old", long)
    traffic.clear()
    assert (
        "Give the model a shorter tag" in copy("new", long, keep_previous=True, fails=True)["msg"]
    )
    assert sent(traffic) == []
    assert copy("new", long)["changed"] is True


@pytest.mark.parametrize("destination", ["fresh", "old"])
def test_check_mode_predicts_exactly(copy, ollama, offered, destination):
    before = ollama.tags()
    predicted = copy("new", destination, keep_previous=True, check_mode=True)
    assert ollama.tags() == before
    actual = copy("new", destination, keep_previous=True)
    for key in ("changed", "diff", "previous", "copies"):
        assert predicted[key] == actual[key]
    unwritten = {**actual["model"], "modified_at": ""}
    assert predicted["model"] == unwritten


def test_copy_that_did_not_take_is_a_failure(copy, served):
    # A server that says yes and does nothing.
    async def tags(_request):
        return JSONResponse({"models": [{"name": "x:latest", "digest": "d", "size": 1}]})

    async def copied(_request):
        return Response()

    routes = [Route("/api/tags", tags), Route("/api/copy", copied, methods=["POST"])]
    result = copy("x", "y", url=served(Starlette(routes=routes)), fails=True)
    assert "y:latest should have the digest d now, but has None" in result["msg"]

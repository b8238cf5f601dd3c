# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

ASKING = ("POST /api/chat", "POST /api/generate", "POST /api/embed", "POST /api/embeddings")


@pytest.fixture
def probe(run_module, ollama, registry):
    """Probe the model `chat` or `embed` of this server."""
    for name in ("chat", "embed"):
        registry.offer(name, weights=name, embeds=name == "embed")
        ollama.pull(name, registry)

    def run(name="chat", **params):
        return run_module("ollama_probe", **{"url": ollama.url, "name": name, **params})

    return run


def asked(traffic):
    return [seen for seen in traffic.requests if seen.line in ASKING]


def test_chat_model_answers_in_words(probe, ollama, traffic):
    result = probe(prompt="日本で一番高い山は 𠮷")
    told = result["probe"]
    assert result["changed"] is False
    assert told["kind"] == "chat"
    assert "𠮷" in told["text"]
    assert told["eval_count"] > 0
    assert told["tokens_per_second"] > 0
    assert told["load_seconds"] >= 0
    assert told["done_reason"] == "stop"
    assert told["dimensions"] is None
    assert told["digest"] == ollama.tags()["chat:latest"]
    assert told["processor"] == "100% CPU"
    assert (told["size"] > 0, told["size_vram"]) == (True, 0)
    assert told["recorded"] is False
    assert told["server_version"]
    assert told["measured_at"].endswith("+00:00")


def test_request_is_repeatable_unless_told_otherwise(probe, traffic):
    probe(prompt="a", system="s", options={"num_ctx": 512, "seed": 7})
    (sent,) = asked(traffic)
    assert sent.line == "POST /api/chat"
    assert sent.json == {
        "model": "chat:latest",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}],
        "options": {"temperature": 0, "seed": 7, "num_predict": 128, "num_ctx": 512},
        "stream": True,
    }


def test_prompt_is_completed_without_a_conversation(probe, traffic):
    told = probe(kind="generate", prompt="日本 𠮷", system="s")["probe"]
    assert (told["kind"], told["done_reason"]) == ("generate", "stop")
    assert "𠮷" in told["text"]
    assert told["eval_count"] > 0
    assert told["tokens_per_second"] > 0
    assert [(seen.line, seen.json) for seen in asked(traffic)] == [
        (
            "POST /api/generate",
            {
                "model": "chat:latest",
                "prompt": "日本 𠮷",
                "system": "s",
                "options": {"temperature": 0, "seed": 1, "num_predict": 128},
                "stream": True,
            },
        )
    ]


def test_embedding_model_is_asked_for_an_embedding(probe, traffic):
    # Asking every model to generate fails for those that cannot.
    told = probe("embed", prompt="文章")["probe"]
    assert (told["kind"], told["dimensions"] > 0) == ("embed", True)
    assert (told["text"], told["tokens_per_second"]) == (None, None)
    assert [(seen.line, seen.json) for seen in asked(traffic)] == [
        ("POST /api/embed", {"model": "embed:latest", "input": "文章"})
    ]


def test_answer_follows_the_schema(probe):
    schema = {"type": "object", "properties": {"echo": {"type": "string"}}}
    told = probe(prompt="日本 𠮷", format=schema, expect='"echo"')["probe"]
    assert "𠮷" in json.loads(told["text"])["echo"]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"expect": "no such word"}, "does not match 'no such word'"),
        ({"min_tokens": 1000}, "not 1000"),
        ({"expect_language": "ja"}, "is not Japanese but 100% Latin"),
        ({"kind": "generate", "expect_language": "ja"}, "is not Japanese but 100% Latin"),
        ({"require_gpu": True}, "at least 100% of it must be in GPU memory (require_gpu), but 0%"),
    ],
)
def test_answer_that_is_not_as_wanted_fails_and_is_shown(probe, params, complaint):
    result = probe(prompt="hello there", fails=True, **params)
    assert complaint in result["msg"]
    assert "there" in result["probe"]["text"]


def test_embedding_of_another_length_fails_and_is_shown(probe):
    length = probe("embed")["probe"]["dimensions"]
    assert probe("embed", dimensions=length)["probe"]["dimensions"] == length
    result = probe("embed", dimensions=length + 1, fails=True)
    assert f"has {length} dimensions, not {length + 1}" in result["msg"]
    assert result["probe"]["dimensions"] == length


def test_answer_in_the_language_passes(probe):
    assert probe(prompt="日本で一番高い山は", expect_language="ja")["probe"]["text"]


def test_any_json_will_do_when_no_schema_says_more(probe, traffic):
    probe(prompt="𠮷", format="json")
    assert asked(traffic)[0].json["format"] == "json"


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"name": "unknown"}, "unknown:latest is not installed"),
        ({"name": "embed", "kind": "chat"}, "it can: embedding"),
        ({"name": "chat", "kind": "embed"}, "it can: completion"),
        ({"name": "embed", "kind": "generate"}, "it can: embedding"),
        ({"name": "embed", "expect_language": "ja"}, "expect_language has no meaning"),
        ({"name": "chat", "dimensions": 3}, "dimensions has no meaning"),
        ({"name": "chat", "expect": "("}, "regular expression"),
        ({"name": "chat", "expect_language": "xx"}, "value of expect_language must be one of"),
        ({"name": "chat", "require_gpu": 101}, "require_gpu is 101"),
        ({"name": "chat", "format": "yaml"}, "format is 'yaml'"),
        ({"name": "a b"}, "Invalid model name"),
        ({"name": "chat", "record": "/nowhere/at/all.json"}, "does not exist"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_it_is_asked(probe, traffic, params, complaint):
    assert complaint in probe(fails=True, **params)["msg"]
    assert asked(traffic) == []


# --- the record ----------------------------------------------------------------------------------


@pytest.fixture
def record(tmp_path):
    return tmp_path / "probe.json"


def test_pass_is_recorded_and_not_repeated(probe, record, traffic):
    first = probe(record=str(record))
    assert first["changed"] is True
    traffic.clear()
    again = probe(record=str(record))
    assert again["changed"] is False
    assert again["probe"] == {**first["probe"], "recorded": True}
    assert asked(traffic) == []


def test_recorded_pass_is_known_in_check_mode_too(probe, record):
    first = probe(record=str(record))
    foreseen = probe(record=str(record), check_mode=True)
    assert foreseen["changed"] is False
    assert foreseen["probe"]["text"] == first["probe"]["text"]


@pytest.mark.parametrize(
    "params",
    [
        {"prompt": "other"},
        {"system": "s"},
        {"min_tokens": 2},
        {"expect_language": "en"},
        {"kind": "generate"},
        {"force": True},
    ],
)
def test_other_request_is_asked(probe, record, traffic, params):
    probe(prompt="first of all", record=str(record))
    traffic.clear()
    assert probe(**{"prompt": "first of all", "record": str(record), **params})["changed"] is True
    assert len(asked(traffic)) == 1


def test_other_model_behind_the_name_is_asked(probe, record, ollama, registry, traffic):
    probe(record=str(record))
    registry.offer("chat", weights="newer")
    ollama.pull("chat", registry)
    traffic.clear()
    assert probe(record=str(record))["changed"] is True
    assert len(asked(traffic)) == 1


def test_other_version_of_the_server_is_asked(probe, record, traffic):
    probe(record=str(record))
    noted = json.loads(record.read_text())
    record.write_text(json.dumps({**noted, "server_version": "0.24.0"}))
    traffic.clear()
    assert probe(record=str(record))["changed"] is True
    assert len(asked(traffic)) == 1


def test_failure_is_recorded_as_such_and_asked_again(probe, record, traffic):
    probe(record=str(record))
    probe(record=str(record), expect="no such word", fails=True)
    assert json.loads(record.read_text())["passed"] is False
    traffic.clear()
    probe(record=str(record))
    assert len(asked(traffic)) == 1


# --- check mode ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("chat", "chat"), ("embed", "embed")])
@pytest.mark.parametrize("recorded", [True, False])
def test_check_mode_asks_nothing_and_predicts(probe, record, name, kind, recorded):
    params = {"record": str(record)} if recorded else {}
    foreseen = probe(name, check_mode=True, **params)
    assert foreseen["planned"] == kind
    assert "probe" not in foreseen
    assert not record.exists()
    assert foreseen["changed"] is probe(name, **params)["changed"]


def test_check_mode_foresees_the_probe_of_a_model_still_to_come(probe, tmp_path):
    # Neither the model nor the folder is there when the play only pretends.
    result = probe("later", record=str(tmp_path / "later" / "x.json"), check_mode=True)
    assert (result["changed"], result["planned"]) == (True, "auto")


# --- other servers -------------------------------------------------------------------------------


@pytest.fixture
def imitation(served):
    """A server with one model that gives these answers."""

    def start(show, **answers):
        entry = {"name": "x:latest", "digest": "1" * 64, "size": 100}
        answers = {
            "GET version": {"version": "0.5.0"},
            "GET tags": {"models": [entry]},
            "POST show": show,
            "GET ps": {"models": [{**entry, "size_vram": 63}]},
            "POST chat": {"message": {"content": "hi"}, "done": True, "eval_count": 1},
            **{f"POST {path}": answer for path, answer in answers.items()},
        }

        def route(what, answer):
            async def endpoint(_request):
                return JSONResponse(answer)

            method, path = what.split()
            return Route(f"/api/{path}", endpoint, methods=[method])

        return served(Starlette(routes=[route(*item) for item in answers.items()]))

    return start


def test_old_server_without_capabilities_is_understood(run_module, imitation, traffic):
    url = imitation(
        {"model_info": {"bert.pooling_type": 2}}, embed={"embeddings": [[0.1, 0.2, 0.3]]}
    )
    told = run_module("ollama_probe", url=url, name="x")["probe"]
    assert (told["kind"], told["dimensions"]) == ("embed", 3)


def test_share_of_the_gpu_is_told(run_module, imitation):
    url = imitation({"capabilities": ["completion"]})
    told = run_module("ollama_probe", url=url, name="x")["probe"]
    assert told["processor"] == "37% CPU / 63% GPU"
    assert (told["size"], told["size_vram"], told["gpu_share"]) == (100, 63, 63.0)
    # A server that measured nothing gives no speed.
    assert (told["tokens_per_second"], told["load_seconds"]) == (None, None)


def test_pass_without_a_gpu_is_none_where_one_is_required(run_module, imitation, record):
    params = {
        "url": imitation({"capabilities": ["completion"]}),
        "name": "x",
        "record": str(record),
    }
    run_module("ollama_probe", **params)
    result = run_module("ollama_probe", **params, require_gpu=64, fails=True)
    assert "but 63% is: 63 of 100 bytes (37% CPU / 63% GPU)" in result["msg"]
    assert result["probe"]["gpu_share"] == 63.0
    assert run_module("ollama_probe", **params, require_gpu=63)["probe"]["recorded"] is False


@pytest.fixture
def dripping(served):
    """A server whose answer takes longer than the timeout, but never pauses as long."""

    def start(path, *pieces):
        async def lines(_request):
            async def drip():
                for piece in pieces:
                    await asyncio.sleep(0.4)
                    yield json.dumps(piece) + "\n"

            return StreamingResponse(drip())

        entry = {"name": "x:latest", "digest": "1" * 64, "size": 100}
        answers = {
            "version": {"version": "0.5.0"},
            "tags": {"models": [entry]},
            "show": {"capabilities": ["completion"]},
            "ps": {"models": []},
        }

        def plain(answer):
            async def endpoint(_request):
                return JSONResponse(answer)

            return endpoint

        routes = [
            Route(f"/api/{name}", plain(answer), methods=["GET", "POST"])
            for name, answer in answers.items()
        ]
        return served(Starlette(routes=[*routes, Route(f"/api/{path}", lines, methods=["POST"])]))

    return start


@pytest.mark.parametrize(
    ("kind", "piece"), [("chat", {"message": {"content": "a"}}), ("generate", {"response": "a"})]
)
def test_answer_may_take_any_time_while_bytes_arrive(run_module, dripping, kind, piece):
    url = dripping(kind, *[piece] * 4, {"done": True, "eval_count": 4})
    told = run_module("ollama_probe", url=url, name="x", kind=kind, timeout=1)["probe"]
    assert (told["text"], told["eval_count"]) == ("aaaa", 4)
    assert told["gpu_share"] is None


@pytest.mark.parametrize(
    ("kind", "piece"), [("chat", {"message": {"content": "a"}}), ("generate", {"response": "a"})]
)
def test_answer_that_is_cut_off_fails(run_module, dripping, kind, piece):
    result = run_module("ollama_probe", url=dripping(kind, piece), name="x", kind=kind, fails=True)
    assert "was cut off" in result["msg"]


def test_thinking_is_switched_off_where_it_exists(run_module, imitation, traffic):
    url = imitation({"capabilities": ["completion", "thinking"]})
    run_module("ollama_probe", url=url, name="x")
    assert asked(traffic)[0].json["think"] is False


@pytest.mark.parametrize("embeddings", [[], [[]], [[0.0, 0.0]]])
def test_embedding_of_nothing_fails(run_module, imitation, embeddings):
    url = imitation({"capabilities": ["embedding"]}, embed={"embeddings": embeddings})
    result = run_module("ollama_probe", url=url, name="x", fails=True)
    assert "no usable embedding" in result["msg"]


def test_empty_answer_fails(run_module, imitation):
    silent = {"message": {"content": ""}, "done": True, "eval_count": 0}
    url = imitation({"capabilities": ["completion"]}, chat=silent)
    result = run_module("ollama_probe", url=url, name="x", fails=True)
    assert "the answer is empty" in result["msg"]


def test_error_in_the_answer_fails(run_module, imitation):
    broken = {"error": "llama runner process has terminated"}
    url = imitation({"capabilities": ["completion"]}, chat=broken)
    result = run_module("ollama_probe", url=url, name="x", fails=True)
    assert "llama runner process has terminated" in result["msg"]

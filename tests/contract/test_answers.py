# SPDX-License-Identifier: GPL-3.0-or-later
"""Chat, generate and embed: what a probe sends and measures."""

from __future__ import annotations

import json
import math
import typing as t

import pytest

from tests.contract.server import JsonObject, Server, failure
from tests.contract.weights import SAID, WIDTH

EXACT = {"temperature": 0, "seed": 1}
ASK = [{"role": "user", "content": "Are you there?"}]
COUNTERS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)


@pytest.fixture
def chat(server: Server, base: str) -> t.Callable[..., list[JsonObject]]:
    """Chat with the base model; gives the pieces of the answer."""

    def ask(**body: t.Any) -> list[JsonObject]:
        options = {**EXACT, **body.pop("options", {})}
        return server.lines("chat", model=base, messages=ASK, options=options, **body)

    return ask


def text(pieces: list[JsonObject]) -> str:
    return "".join(piece["message"]["content"] for piece in pieces)


def test_a_chat_arrives_in_pieces_and_ends_by_its_stop_token(
    chat: t.Callable[..., list[JsonObject]], base: str
) -> None:
    *pieces, last = chat()
    assert text(pieces) == SAID
    assert len(pieces) > 1
    assert {piece["done"] for piece in pieces} == {False}
    assert {piece["model"] for piece in [*pieces, last]} == {base}
    assert {piece["message"]["role"] for piece in pieces} == {"assistant"}
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert not last["message"]["content"]


def test_the_last_piece_measures(chat: t.Callable[..., list[JsonObject]]) -> None:
    last = chat()[-1]
    assert all(last[counter] > 0 for counter in COUNTERS)
    assert last["eval_count"] in (len(SAID), len(SAID) + 1)
    assert last["total_duration"] >= last["load_duration"]


def test_a_limit_is_told(chat: t.Callable[..., list[JsonObject]]) -> None:
    pieces = chat(options={"num_predict": 2})
    assert text(pieces) == SAID[:2]
    assert pieces[-1]["done_reason"] == "length"
    assert pieces[-1]["eval_count"] == 2


def test_a_stop_sequence_ends_an_answer(chat: t.Callable[..., list[JsonObject]]) -> None:
    pieces = chat(options={"stop": [SAID[3:]]})
    assert text(pieces) == SAID[:3]
    assert pieces[-1]["done_reason"] == "stop"


def test_a_chat_in_one_piece(server: Server, base: str) -> None:
    body = {"model": base, "messages": ASK, "options": EXACT, "stream": False}
    answer = server.done("chat", **body).json()
    assert answer["message"] == {"role": "assistant", "content": SAID}
    assert answer["done"] is True


def test_generate(server: Server, base: str) -> None:
    pieces = server.lines("generate", model=base, prompt="x", options=EXACT)
    assert "".join(piece["response"] for piece in pieces) == SAID
    assert pieces[-1]["done_reason"] == "stop"
    assert all(isinstance(token, int) for token in pieces[-1]["context"])
    assert all(pieces[-1][counter] > 0 for counter in COUNTERS)


def test_a_prompt_can_be_looked_at_without_being_answered(server: Server, base: str) -> None:
    body = {"model": base, "messages": ASK, "stream": False, "_debug_render_only": True}
    rendered = server.done("chat", **body).json()["_debug_info"]["rendered_template"]
    # The model's own messages come first, its system prompt before the question or before all.
    assert "Be short." in rendered
    assert "Hi & bye" in rendered
    assert rendered.endswith("Are you there?\n")


def test_a_raw_prompt_is_sent_as_it_is(server: Server, base: str) -> None:
    body = {"model": base, "options": EXACT, "stream": False, "raw": True}
    assert server.done("generate", prompt="x\n", **body).json()["response"] == SAID
    assert server.done("generate", prompt="re", **body).json()["response"] == SAID[2:]


def test_an_answer_by_a_schema_is_json(server: Server, base: str) -> None:
    schema = {
        "type": "object",
        "properties": {"text": {"const": "日本語"}},
        "required": ["text"],
    }
    body = {"model": base, "messages": ASK, "options": EXACT, "format": schema, "stream": False}
    answer = server.done("chat", **body).json()["message"]["content"]
    assert json.loads(answer) == {"text": "日本語"}


def test_embed(server: Server, embedder: str) -> None:
    answer = server.done("embed", model=embedder, input="text").json()
    (vector,) = answer["embeddings"]
    assert len(vector) == WIDTH
    assert math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-3)
    assert answer["prompt_eval_count"] >= 4
    assert answer["total_duration"] >= answer["load_duration"] > 0


def test_embed_several(server: Server, embedder: str) -> None:
    one = server.done("embed", model=embedder, input=["text", "another", "text"]).json()
    first, second, third = one["embeddings"]
    assert first == pytest.approx(third, abs=1e-4)
    assert first != pytest.approx(second, abs=1e-2)


def test_embed_nothing_only_loads(server: Server, embedder: str) -> None:
    assert server.done("embed", model=embedder, input=[]).json()["embeddings"] == []
    assert f"{embedder}:latest" in server.running()


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("chat", {"messages": ASK}, '"{}" does not support chat'),
        ("generate", {"prompt": "x"}, '"{}" does not support generate'),
    ],
)
def test_what_an_embedding_model_cannot(
    server: Server, embedder: str, path: str, body: JsonObject, text: str
) -> None:
    answer = server.post(path, model=embedder, **body)
    assert failure(answer) == (400, text.format(embedder))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"temperature": "hot"}, 'option "temperature" must be of type float32'),
        ({"stop": "x"}, 'option "stop" must be of type array'),
        ({"num_ctx": "big"}, 'option "num_ctx" must be of type integer'),
    ],
)
def test_a_wrong_option(server: Server, base: str, options: JsonObject, text: str) -> None:
    assert failure(server.post("chat", model=base, messages=ASK, options=options)) == (500, text)


def test_an_unknown_option_is_passed_over(chat: t.Callable[..., list[JsonObject]]) -> None:
    assert text(chat(options={"nonsense": 1})) == SAID


def test_a_wrong_keep_alive(server: Server, base: str) -> None:
    answer = server.post("chat", model=base, messages=ASK, keep_alive="soon")
    assert failure(answer) == (400, 'time: invalid duration "soon"')


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "missing request body"),
        (b"{", "unexpected EOF"),
    ],
)
def test_a_broken_request(server: Server, body: bytes, text: str) -> None:
    assert failure(server.http.post("/api/chat", content=body)) == (400, text)


def test_liveness(server: Server) -> None:
    assert server.http.get("/").text == "Ollama is running"
    assert server.http.head("/").status_code == 200
    assert set(server.http.get("/api/version").json()) == {"version"}


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/api/nonsense", 404, "404 page not found"),
        ("GET", "/api/pull", 405, "405 method not allowed"),
    ],
)
def test_no_such_route(server: Server, method: str, path: str, status: int, text: str) -> None:
    answer = server.http.request(method, path)
    assert (answer.status_code, answer.text) == (status, text)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that need a model in memory, with the echo engine: shapes, options, lifetimes."""

from __future__ import annotations

import datetime
import json
import math
import threading
import time
import typing as t

import pytest

from lab.ollama.engine import Completion, EchoEngine, LoadRequest, OnText

MODEL = "smollm2:135m"
ASK = [{"role": "user", "content": "one two 𠮷"}]
FIGURES = {
    "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count",
    "eval_duration",
}  # fmt: skip


@pytest.fixture
def model(ollama: t.Any) -> t.Any:
    ollama.install()
    return ollama


@pytest.fixture
def plain(model: t.Any) -> t.Any:
    """A model whose prompt is what was asked, so that the echo is, too."""
    body = {"from": MODEL, "template": "{{ .Prompt }}"}
    assert model.events("create", model="plain", **body)[-1] == {"status": "success"}
    return model


def test_chat_streams_lines(plain: t.Any) -> None:
    answer = plain.post("chat", model="plain", messages=ASK)
    assert answer.headers["content-type"] == "application/x-ndjson"
    *pieces, last = map(json.loads, answer.text.splitlines())
    assert [piece["message"]["content"] for piece in pieces] == ["one", " two", " 𠮷"]
    assert all(piece["done"] is False and piece["model"] == "plain" for piece in pieces)
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 3)
    assert all(isinstance(last[key], int) and last[key] > 0 for key in FIGURES)


def test_generate_in_one_piece(plain: t.Any) -> None:
    answer = plain.post("generate", model="plain", prompt="one two 𠮷", stream=False)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    body = answer.json()
    assert (body["response"], body["done_reason"]) == ("one two 𠮷", "stop")
    assert body["context"] == [ord(char) for char in "one two 𠮷" * 2]


def test_the_template_and_the_system_prompt_are_used(model: t.Any) -> None:
    model.post("chat", model=MODEL, messages=ASK)
    system = {"role": "system", "content": "Mine."}
    model.post("chat", model=MODEL, messages=[system, *ASK])
    model.post("generate", model=MODEL, prompt="one", system="Other.")
    model.post("generate", model=MODEL, prompt="raw text", raw=True)
    first, second, third, fourth = model.engine.prompts
    assert first.startswith("<|im_start|>system\nYou are a helpful AI assistant")
    assert first.endswith("<|im_start|>user\none two 𠮷<|im_end|>\n<|im_start|>assistant\n")
    assert second.startswith("<|im_start|>system\nMine.<|im_end|>\n<|im_start|>user")
    assert third.startswith("<|im_start|>system\nOther.<|im_end|>")
    assert fourth == "raw text"


def test_what_does_not_fit_is_dropped_from_the_front(plain: t.Any) -> None:
    """The model was trained on 64 tokens, which are characters to the echo engine."""
    talk = [{"role": "system", "content": "Keep."}]
    for number in range(5):
        talk.append({"role": "user", "content": f"question number {number}"})
        talk.append({"role": "assistant", "content": f"answer number {number}"})
    body = {"from": MODEL, "template": "{{ range .Messages }}{{ .Content }}\n{{ end }}"}
    plain.events("create", model="long", **body)
    plain.post("chat", model="long", messages=[*talk, {"role": "user", "content": "last"}])
    prompt = plain.engine.prompts[-1]
    assert prompt.startswith("Keep.\n")
    assert prompt.endswith("answer number 4\nlast\n")
    assert "question number 2" not in prompt


def test_rendering_without_running(plain: t.Any) -> None:
    answer = plain.post("chat", model="plain", messages=ASK, _debug_render_only=True).json()
    assert answer["_debug_info"]["rendered_template"].endswith("one two 𠮷")
    assert plain.engine.prompts == []


@pytest.mark.parametrize("given", ["json", {"type": "object"}])
def test_format_reaches_the_engine(plain: t.Any, given: t.Any) -> None:
    body = plain.post("chat", model="plain", messages=ASK, format=given, stream=False).json()
    assert json.loads(body["message"]["content"]) == {"echo": "one two 𠮷"}


def test_num_predict_ends_by_length(plain: t.Any) -> None:
    body = plain.post(
        "generate", model="plain", prompt="a b c", stream=False, options={"num_predict": 2}
    ).json()
    assert (body["response"], body["done_reason"]) == ("a b", "length")


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("generate", {"options": {"temperature": "hot"}}, 500,
         'option "temperature" must be of type float32'),
        ("chat", {"options": {"stop": "x"}}, 500, 'option "stop" must be of type array'),
        ("chat", {"options": {"stop": [1]}}, 500, 'option "stop" must be of an array of strings'),
        ("chat", {"options": {"num_ctx": "x"}}, 500, 'option "num_ctx" must be of type integer'),
        ("chat", {"options": {"num_ctx": True}}, 500, 'option "num_ctx" must be of type integer'),
        ("chat", {"options": {"use_mmap": 1}}, 500, 'option "use_mmap" must be of type boolean'),
        ("chat", {"keep_alive": "soon"}, 400, 'time: invalid duration "soon"'),
        ("chat", {"think": True}, 400, '"smollm2:135m" does not support thinking'),
        ("chat", {"tools": [{}]}, 400,
         "registry.ollama.ai/library/smollm2:135m does not support tools"),
        ("generate", {"suffix": "x"}, 400,
         "registry.ollama.ai/library/smollm2:135m does not support insert"),
        ("generate", {"raw": True, "system": "x"}, 400,
         "raw mode does not support template, system, or context"),
        ("chat", {"format": "xml"}, 500,
         'invalid format: "xml"; expected "json" or a valid JSON Schema object'),
    ],
)  # fmt: skip
def test_refusals(model: t.Any, path: str, body: dict[str, t.Any], status: int, text: str) -> None:
    answer = model.post(path, model=MODEL, messages=ASK, prompt="x", **body)
    assert (answer.status_code, answer.json()["error"]) == (status, text)


def test_an_unknown_option_is_ignored(model: t.Any) -> None:
    answer = model.post("generate", model=MODEL, prompt="x", options={"nonsense": 1})
    assert json.loads(answer.text.splitlines()[-1])["done"] is True


def test_embedding_models_only_embed(ollama: t.Any) -> None:
    ollama.install("emb", "smollm2-embed")
    for path, what in (("generate", "generate"), ("chat", "chat")):
        answer = ollama.post(path, model="emb", messages=ASK, prompt="x")
        assert (answer.status_code, answer.json()["error"]) == (
            400,
            f'"emb" does not support {what}',
        )
    body = ollama.post("embed", model="emb", input=["a b", "c"]).json()
    assert (len(body["embeddings"]), body["prompt_eval_count"]) == (2, 3)
    for vector in body["embeddings"]:
        assert math.hypot(*vector) == pytest.approx(1)
    short = ollama.post("embed", model="emb", input="a b", dimensions=3).json()["embeddings"][0]
    assert (len(short), math.hypot(*short)) == (3, pytest.approx(1))
    old = ollama.post("embeddings", model="emb", prompt="a b").json()["embedding"]
    assert old == pytest.approx(body["embeddings"][0])
    assert ollama.post("embed", model="emb").json()["embeddings"] == []
    too_long = ollama.post("embed", model="emb", input="x" * 65, truncate=False)
    assert (too_long.status_code, too_long.json()["error"]) == (
        400,
        "the input length exceeds the context length",
    )
    assert ollama.engine.loads[0].embedding is True


def test_load_and_unload(model: t.Any) -> None:
    loaded = model.post("generate", model=MODEL).json()
    assert (loaded["response"], loaded["done_reason"]) == ("", "load")
    (entry,) = model.http.get("/api/ps").json()["models"]
    expected = {"name": MODEL, "model": MODEL, "size_vram": 0, "context_length": 64}
    assert {key: entry[key] for key in expected} == expected
    assert entry["digest"] == model.tags()[MODEL]["digest"]
    unloaded = model.post("chat", model=MODEL, keep_alive=0).json()
    assert (unloaded["message"]["content"], unloaded["done_reason"]) == ("", "unload")
    assert gone(model)
    assert model.engine.closed == 1


def gone(model: t.Any) -> bool:
    deadline = time.monotonic() + 10
    while model.http.get("/api/ps").json()["models"] and time.monotonic() < deadline:
        time.sleep(0.01)
    return not model.http.get("/api/ps").json()["models"]


@pytest.mark.parametrize(
    ("keep_alive", "stays"), [(-1, True), ("-1m", True), ("1h", True), (0, False), ("50ms", False)]
)
def test_keep_alive(model: t.Any, keep_alive: t.Any, stays: bool) -> None:
    model.post("generate", model=MODEL, prompt="x", keep_alive=keep_alive)
    if not stays:
        assert gone(model)
        return
    (entry,) = model.http.get("/api/ps").json()["models"]
    year = datetime.datetime.fromisoformat(entry["expires_at"][:19]).year
    now = datetime.datetime.now(datetime.timezone.utc).year
    assert (year > now + 290) == str(keep_alive).startswith("-")


def test_other_load_options_reload(model: t.Any) -> None:
    for context in (32, 32, 16, 1000):
        model.post("generate", model=MODEL, prompt="x", options={"num_ctx": context})
    assert [load.context for load in model.engine.loads] == [32, 16, 64]
    assert model.http.get("/api/ps").json()["models"][0]["context_length"] == 64
    assert model.engine.closed == 2


def test_models_that_share_weights_share_the_memory(plain: t.Any) -> None:
    for name in (MODEL, "plain"):
        plain.post("generate", model=name, prompt="x")
    assert [entry["name"] for entry in plain.http.get("/api/ps").json()["models"]] == [MODEL]
    assert len(plain.engine.loads) == 1


def test_a_client_that_leaves_stops_the_engine(
    plain: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    class Endless:
        def __init__(self, engine: EchoEngine) -> None:
            self.render = None

        def tokenize(self, text: str) -> list[int]:
            return []

        def complete(self, prompt: str, sampling: object, on_text: OnText) -> Completion:
            while not on_text("x"):
                time.sleep(0.001)
            stopped.set()
            return Completion("stop", 1, 0.1, 1, 0.1)

        def close(self) -> None:
            pass

    def load(request: LoadRequest) -> t.Any:
        return Endless(plain.engine)

    monkeypatch.setattr(plain.engine, "load", load)
    body = {"model": "plain", "prompt": "x"}
    with plain.http.stream("POST", "/api/generate", json=body) as answer:
        assert json.loads(next(answer.iter_lines()))["response"] == "x"
    assert stopped.wait(10)

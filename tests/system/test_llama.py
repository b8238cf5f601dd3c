# SPDX-License-Identifier: GPL-3.0-or-later
"""Real weights, real inference: the model that the lab serves."""

from __future__ import annotations

import json
import math
import typing as t
from pathlib import Path

import httpx
import pytest

from lab import fetch
from lab.ollama.app import create_app
from lab.ollama.engine import LlamaEngine
from lab.origin.app import create_app as create_origin
from lab.origin.seed import seed
from lab.testing import serve

# Fetched when the lab's cache lacks it, so this belongs to what `make test` adds.
pytestmark = pytest.mark.lab
TEXT = "日本語と𠮷野家"
SCHEMA = {
    "type": "object",
    "properties": {"text": {"const": TEXT}},
    "required": ["text"],
}
ASK = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[httpx.Client]:
    base = tmp_path_factory.mktemp("llama")
    seed(base, fetch.weights())
    app = create_app(base / "store", LlamaEngine())
    with (
        serve(create_origin(base, cdn_host="localhost")) as origin,
        serve(app) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=90) as client,
    ):
        for name in ("smollm2", "smollm2-embed"):
            remote = f"{origin.removeprefix('http://')}/library/{name}:135m"
            body = {"model": remote, "insecure": True, "stream": False}
            assert client.post("/api/pull", json=body).json() == {"status": "success"}
            body = {"source": remote, "destination": name}
            assert client.post("/api/copy", json=body).is_success
        yield client


def post(http: httpx.Client, path: str, **body: t.Any) -> t.Any:
    return http.post(f"/api/{path}", json={"options": {"temperature": 0, "seed": 1}, **body}).json()


def test_a_chat_ends_by_its_stop_token(http: httpx.Client) -> None:
    options = {"temperature": 0, "num_predict": 128}
    body = post(http, "chat", model="smollm2", messages=ASK, stream=False, options=options)
    assert "hello" in body["message"]["content"].lower()
    assert body["done_reason"] == "stop"
    assert "<|im" not in body["message"]["content"]
    assert 0 < body["eval_count"] < 128
    assert body["eval_duration"] > 0
    assert body["prompt_eval_count"] > 10


def test_both_templates_say_the_same(http: httpx.Client) -> None:
    """The seeded TEMPLATE and the Jinja template inside the GGUF."""
    (weights,) = [
        line.removeprefix("FROM ")
        for line in post(http, "show", model="smollm2")["modelfile"].splitlines()
        if line.startswith("FROM ")
    ]
    files = {"x.gguf": Path(weights).name.replace("-", ":")}
    made = post(http, "create", model="bare", files=files, stream=False)
    assert made == {"status": "success"}
    assert "im_start" in post(http, "show", model="bare")["template"]
    system = {"role": "system", "content": "Be brief. 日本"}
    rendered = [
        post(http, "chat", model=name, messages=[system, *ASK], _debug_render_only=True)
        for name in ("smollm2", "bare")
    ]
    texts = [one["_debug_info"]["rendered_template"] for one in rendered]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_japanese_comes_through_a_schema_intact(http: httpx.Client, path: str) -> None:
    body = {"model": "smollm2", "messages": ASK, "prompt": "Say hello.", "format": SCHEMA}
    answer = http.post(f"/api/{path}", json=body)
    events = [json.loads(line) for line in answer.content.decode("utf-8").splitlines()]
    pieces = [
        event["message"]["content"] if path == "chat" else event["response"] for event in events
    ]
    assert len(events) > 5
    assert json.loads("".join(pieces)) == {"text": TEXT}
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_code_point_that_is_cut_by_the_limit_is_not_sent(http: httpx.Client) -> None:
    def text(limit: int) -> str:
        options = {"temperature": 0, "num_predict": limit}
        body = {"model": "smollm2", "messages": ASK, "format": SCHEMA, "options": options}
        return str(post(http, "chat", stream=False, **body)["message"]["content"])

    whole = text(80)
    assert json.loads(whole) == {"text": TEXT}
    cut = [text(limit) for limit in range(10, 18)]
    assert all(whole.startswith(one) for one in cut)
    # A token is a part of a code point at most, so some limits add nothing that can be sent.
    assert len(set(cut)) < len(cut)


def test_format_json_gives_an_object(http: httpx.Client) -> None:
    options = {"temperature": 0, "num_predict": 60}
    body = post(
        http, "generate", model="smollm2", prompt="A person as JSON", format="json",
        stream=False, options=options,
    )  # fmt: skip
    assert body["response"].lstrip().startswith("{")


def test_embeddings(http: httpx.Client) -> None:
    assert post(http, "show", model="smollm2-embed")["capabilities"] == ["embedding"]
    texts = ["A cat sits on a mat.", "A kitten sits on a rug.", "Interest rates rose again."]
    body = post(http, "embed", model="smollm2-embed", input=texts)
    vectors = body["embeddings"]
    assert [len(vector) for vector in vectors] == [576] * 3
    assert all(math.hypot(*vector) == pytest.approx(1, abs=1e-5) for vector in vectors)
    near, far = (sum(a * b for a, b in zip(vectors[0], other, strict=True))
                 for other in vectors[1:])  # fmt: skip
    assert near > far
    assert body["prompt_eval_count"] > 10
    assert post(http, "chat", model="smollm2-embed", messages=ASK) == {
        "error": '"smollm2-embed" does not support chat'
    }


def test_a_wrong_schema_is_an_error(http: httpx.Client) -> None:
    answer = http.post(
        "/api/chat", json={"model": "smollm2", "messages": ASK, "format": {"type": "nonsense"}}
    )
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("JSON schema conversion failed")

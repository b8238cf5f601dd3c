# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes that need a model in memory: generate, chat, embed, embeddings."""

from __future__ import annotations

import functools
import time
import typing as t

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lab.ollama import fields, inference, names, options, prompt
from lab.ollama.answers import Stream, answer
from lab.ollama.errors import ApiError, model_not_found
from lab.ollama.model import Message, Model, load
from lab.ollama.scheduler import Runner
from lab.ollama.settings import request_keep_alive

if t.TYPE_CHECKING:
    from lab.ollama.app import Server

ROLES = ("system", "user", "assistant", "tool")


def routes(server: Server) -> list[BaseRoute]:
    """Return the inference endpoints."""
    table = {
        "/api/generate": generate,
        "/api/chat": chat,
        "/api/embed": embed,
        "/api/embeddings": embeddings,
    }
    return [
        Route(path, functools.partial(handler, server), methods=["POST"])
        for path, handler in table.items()
    ]


async def generate(server: Server, request: Request) -> Response:
    body = fields.decode(await request.body(), "GenerateRequest")
    name = body.get("model", "")
    model = _find(server, name)
    text, keep_alive = str(body.get("prompt", "")), _keep_alive(body)
    if not text and keep_alive == 0:
        server.scheduler.expire(model)
        return answer(inference.idle_answer(name, {"response": ""}, "unload"))
    if body.get("raw") and any(body.get(key) for key in ("template", "system", "context")):
        raise ApiError("raw mode does not support template, system, or context", 400)
    _require(model, name, "generate", body)
    if body.get("suffix") and "insert" not in model.capabilities:
        raise ApiError(f"{_full(model)} does not support insert", 400)
    job = _job(server, model, name, body, keep_alive)
    if not text:
        async with server.scheduler.use(job.model, job.options, job.keep_alive):
            return answer(inference.idle_answer(name, {"response": ""}, "load"))

    def render(runner: Runner) -> str:
        if body.get("raw"):
            return text
        asked = [{"role": "user", "content": text}]
        whole = prompt.conversation(model, asked, system=body.get("system") or None)
        earlier = runner.loaded.detokenize(body["context"]) if body.get("context") else ""
        return earlier + prompt.render(runner, model, whole, body.get("template") or None)

    if body.get("_debug_render_only"):
        return await _rendered(server, job, render)
    events = inference.run(
        server.scheduler, job, render, lambda piece: {"response": piece}, with_context=True
    )
    fold = functools.partial(inference.fold, key="response")
    return Stream(events, stream=body.get("stream", True), fold=fold)


async def chat(server: Server, request: Request) -> Response:
    body = fields.decode(await request.body(), "ChatRequest")
    name = body.get("model", "")
    if not name:
        raise ApiError("model is required", 400)
    model = _find(server, name)
    messages, keep_alive = _messages(body), _keep_alive(body)
    empty: dict[str, t.Any] = {"message": {"role": "assistant", "content": ""}}
    if not messages and keep_alive == 0:
        server.scheduler.expire(model)
        return answer(inference.idle_answer(name, empty, "unload"))
    _require(model, name, "chat", body)
    if body.get("tools") and "tools" not in model.capabilities:
        raise ApiError(f"{_full(model)} does not support tools", 400)
    job = _job(server, model, name, body, keep_alive)
    if not messages:
        async with server.scheduler.use(job.model, job.options, job.keep_alive):
            return answer(inference.idle_answer(name, empty, "load"))

    def render(runner: Runner) -> str:
        return prompt.render(runner, model, prompt.conversation(model, messages))

    def piece(text: str) -> dict[str, t.Any]:
        return {"message": {"role": "assistant", "content": text}}

    if body.get("_debug_render_only"):
        return await _rendered(server, job, render)
    events = inference.run(server.scheduler, job, render, piece)
    fold = functools.partial(inference.fold, key="message")
    return Stream(events, stream=body.get("stream", True), fold=fold)


async def embed(server: Server, request: Request) -> Response:
    body = fields.decode(await request.body(), "EmbedRequest")
    name, given = body.get("model", ""), body.get("input")
    texts = [given] if isinstance(given, str) and given else given or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ApiError("invalid input type", 400)
    model = _find(server, name, hint=", try pulling it first")
    job = _job(server, model, name, body, _keep_alive(body))
    async with server.scheduler.use(model, job.options, job.keep_alive) as runner:
        loaded_at = time.monotonic()
        if not texts:
            return answer({"model": name, "embeddings": []})
        vectors, tokens = await inference.embed(
            runner,
            texts,
            truncate=body.get("truncate", True),
            dimensions=int(body.get("dimensions", 0)),
        )
    return answer(
        {
            "model": name,
            "embeddings": vectors,
            "total_duration": int((time.monotonic() - job.began) * 1e9),
            "load_duration": int((loaded_at - job.began) * 1e9),
            "prompt_eval_count": tokens,
        }
    )


async def embeddings(server: Server, request: Request) -> Response:
    body = fields.decode(await request.body(), "EmbeddingRequest")
    name = body.get("model", "")
    if not name:
        raise ApiError("model is required", 400)
    model = _find(server, name, hint=", try pulling it first")
    job = _job(server, model, name, body, _keep_alive(body))
    async with server.scheduler.use(model, job.options, job.keep_alive) as runner:
        if not body.get("prompt"):
            return answer({"embedding": []})
        vectors, _tokens = await inference.embed(
            runner, [body["prompt"]], truncate=True, dimensions=0
        )
    return answer({"embedding": vectors[0]})


def _find(server: Server, text: str, *, hint: str = "") -> Model:
    name = names.parse(text)
    if not text:
        raise model_not_found(text)
    if not name.valid:
        raise ApiError("invalid model name", 400)
    installed = server.store.find(server.store.existing(name))
    if installed is None:
        raise model_not_found(text, quote='"' if hint else "'", hint=hint)
    return load(server.store, installed)


def _require(model: Model, name: str, what: str, body: dict[str, t.Any]) -> None:
    if "completion" not in model.capabilities:
        raise ApiError(f'"{name}" does not support {what}', 400)
    if body.get("think") and "thinking" not in model.capabilities:
        raise ApiError(f'"{name}" does not support thinking', 400)


def _full(model: Model) -> str:
    name = model.installed.name
    return f"{name.host}/{name.namespace}/{name.model}:{name.tag}"


def _job(
    server: Server, model: Model, name: str, body: dict[str, t.Any], keep_alive: float | None
) -> inference.Job:
    chosen = options.resolve(model.options, body.get("options"))
    return inference.Job(name, model, chosen, keep_alive, body.get("format"), time.monotonic())


def _keep_alive(body: dict[str, t.Any]) -> float | None:
    given = body.get("keep_alive")
    return None if given is None else request_keep_alive(given)


def _messages(body: dict[str, t.Any]) -> list[Message]:
    messages = []
    for message in body.get("messages") or []:
        if not isinstance(message, dict) or not isinstance(message.get("content", ""), str):
            raise ApiError(
                "json: cannot unmarshal number into Go struct field ChatRequest.messages.content "
                "of type string",
                400,
            )
        role = str(message.get("role", "")).lower()
        messages.append({"role": role, "content": message.get("content", "")})
    return messages


async def _rendered(
    server: Server, job: inference.Job, render: t.Callable[[Runner], str]
) -> Response:
    async with server.scheduler.use(job.model, job.options, job.keep_alive) as runner:
        text = render(runner)
    return answer({"model": job.name, "_debug_info": {"rendered_template": text}})

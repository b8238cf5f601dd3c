# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate, chat and embed: from a request to tokens and back."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import math
import threading
import time
import typing as t

from lab.ollama import gofmt, prompt, schema
from lab.ollama.answers import Event, Events
from lab.ollama.engine import Completion
from lab.ollama.errors import ApiError
from lab.ollama.model import Model
from lab.ollama.options import Options
from lab.ollama.scheduler import Runner, Scheduler

Piece = t.Callable[[str], Event]
"""Puts a piece of text into the shape an endpoint streams."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One request for text, ready to run."""

    name: str
    model: Model
    options: Options
    keep_alive: float | None
    format: t.Any
    began: float

    @property
    def sampling(self) -> dict[str, t.Any]:
        return {**self.options.sampling, **grammar(self.format)}


def grammar(wanted: t.Any) -> dict[str, t.Any]:
    """Return llama.cpp's constraint for a request's `format`."""
    if wanted is None or wanted == "":
        return {}
    if wanted == "json":
        return {"json_schema": {"type": "object"}}
    if isinstance(wanted, dict):
        return {"json_schema": schema.closed(wanted)}
    raise ApiError(
        f'invalid format: {json.dumps(wanted)}; expected "json" or a valid JSON Schema object'
    )


async def run(
    scheduler: Scheduler,
    job: Job,
    render: t.Callable[[Runner], str],
    piece: Piece,
    *,
    with_context: bool = False,
) -> Events:
    """Yield the text of a completion piece by piece, and at last its figures."""
    sampling = job.sampling
    async with scheduler.use(job.model, job.options, job.keep_alive) as runner:
        loaded_at = time.monotonic()
        text = await asyncio.to_thread(render, runner)
        pieces: list[str] = []
        async with contextlib.aclosing(_complete(runner, text, sampling)) as results:
            async for result in results:
                if isinstance(result, str):
                    pieces.append(result)
                    yield {**_head(job), **piece(result), "done": False}
                    continue
                last = {**_head(job), **piece(""), "done": True}
                last |= _figures(result, job.began, loaded_at)
                if with_context:
                    whole = text + "".join(pieces)
                    last["context"] = await asyncio.to_thread(runner.loaded.tokenize, whole)
                yield last


async def _complete(
    runner: Runner, text: str, sampling: dict[str, t.Any]
) -> t.AsyncGenerator[str | Completion, None]:
    """Bridge the engine's thread to the event loop; leaving early stops the engine."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | Completion | BaseException] = asyncio.Queue()
    stop = threading.Event()

    def put(item: str | Completion | BaseException) -> None:
        # The loop may be gone already when a server is shut down.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def on_text(piece: str) -> bool:
        put(piece)
        return stop.is_set()

    def work() -> None:
        try:
            put(runner.loaded.complete(text, sampling, on_text))
        except BaseException as error:
            put(error)

    worker = loop.run_in_executor(None, work)
    try:
        while True:
            item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, Completion):
                return
    finally:
        stop.set()
        # The runner may only be unloaded once its thread has left it.
        await asyncio.shield(asyncio.wait({worker}))


def _head(job: Job) -> Event:
    return {"model": job.name, "created_at": gofmt.rfc3339(time.time(), utc=True)}


def _figures(result: Completion, began: float, loaded_at: float) -> Event:
    return {
        "done_reason": result.done_reason,
        "total_duration": _nanoseconds(time.monotonic() - began),
        "load_duration": _nanoseconds(loaded_at - began),
        "prompt_eval_count": result.prompt_tokens,
        "prompt_eval_duration": _nanoseconds(result.prompt_seconds),
        "eval_count": result.tokens,
        "eval_duration": _nanoseconds(result.seconds),
    }


def _nanoseconds(seconds: float) -> int:
    return max(int(seconds * 1e9), 1)


def idle_answer(name: str, empty: Event, reason: str) -> Event:
    """Return the answer to a request that only loads or unloads a model."""
    created = gofmt.rfc3339(time.time(), utc=True)
    return {"model": name, "created_at": created, **empty, "done": True, "done_reason": reason}


def fold(events: list[Event], key: str) -> Event:
    """Return the last event with the text of all of them, for requests without streaming."""
    last = dict(events[-1])
    if key == "message":
        content = "".join(event["message"]["content"] for event in events)
        last["message"] = {**last["message"], "content": content}
    else:
        last[key] = "".join(event[key] for event in events)
    return last


async def embed(
    runner: Runner, texts: list[str], *, truncate: bool, dimensions: int
) -> tuple[list[list[float]], int]:
    """Return unit vectors for the texts, and how many tokens they had."""
    vectors, tokens = [], 0
    for text in texts:
        fitted = await asyncio.to_thread(prompt.fit_text, runner, text, truncate)
        vector, count = await asyncio.to_thread(runner.loaded.embed, fitted)
        vector = normalized(vector)
        if 0 < dimensions < len(vector):
            vector = normalized(vector[:dimensions])
        vectors.append(vector)
        tokens += count
    return vectors, tokens


def normalized(vector: list[float]) -> list[float]:
    """Return the vector with length 1."""
    if not all(map(math.isfinite, vector)):
        raise ApiError("embedding contains NaN or Inf values", 400)
    length = max(math.sqrt(sum(item * item for item in vector)), 1e-12)
    return [item / length for item in vector]

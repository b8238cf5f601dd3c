# SPDX-License-Identifier: GPL-3.0-or-later
"""Inference engines: llama.cpp through xllamacpp, and a deterministic echo for fast tests."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import os
import threading
import typing as t
import urllib.error
import urllib.request
from pathlib import Path

from lab.ollama.errors import ApiError

OnText = t.Callable[[str], bool]
"""Takes a piece of text and says whether to stop."""


@dataclasses.dataclass(frozen=True)
class LoadRequest:
    """What to load, and how."""

    weights: Path
    adapters: tuple[Path, ...]
    context: int
    parallel: int
    batch: int
    threads: int
    use_mmap: bool
    embedding: bool


@dataclasses.dataclass(frozen=True)
class Completion:
    """How a completion ended."""

    done_reason: str
    prompt_tokens: int
    prompt_seconds: float
    tokens: int
    seconds: float


class Loaded(t.Protocol):
    """A model in memory. All methods block; `complete` may run in several threads at once."""

    def render(self, messages: list[dict[str, t.Any]]) -> str:
        """Return the prompt that the model's own Jinja template makes of the messages."""

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a prompt."""

    def detokenize(self, tokens: list[int]) -> str:
        """Return the text of tokens."""

    def complete(self, prompt: str, sampling: dict[str, t.Any], on_text: OnText) -> Completion:
        """Continue the prompt; text arrives in pieces that end on whole code points."""

    def embed(self, text: str) -> tuple[list[float], int]:
        """Return the embedding of a text and the number of its tokens."""

    def close(self) -> None:
        """Free the memory."""


class Engine(t.Protocol):
    """Loads models."""

    def load(self, request: LoadRequest) -> Loaded:
        """Return the model in memory, or raise ApiError."""


class EchoEngine:
    """Answers with the last line of the prompt, word by word; needs no weights."""

    def __init__(self) -> None:
        self.loads: list[LoadRequest] = []
        self.prompts: list[str] = []
        self.closed = 0

    def load(self, request: LoadRequest) -> Loaded:
        self.loads.append(request)
        return _Echo(self)


class _Echo:
    def __init__(self, engine: EchoEngine) -> None:
        self.engine = engine

    def render(self, messages: list[dict[str, t.Any]]) -> str:
        return "\n".join(f"{message['role']}: {message['content']}" for message in messages)

    def tokenize(self, text: str) -> list[int]:
        return [ord(char) for char in text]

    def detokenize(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))

    def complete(self, prompt: str, sampling: dict[str, t.Any], on_text: OnText) -> Completion:
        self.engine.prompts.append(prompt)
        words = (prompt.rstrip().splitlines() or [""])[-1].split(" ")
        if "json_schema" in sampling:
            words = [json.dumps({"echo": " ".join(words)}, ensure_ascii=False)]
        limit = sampling.get("n_predict", -1)
        kept = words if limit < 0 else words[:limit]
        sent = 0
        for index, word in enumerate(kept):
            sent += 1
            if on_text(word if index == 0 else f" {word}"):
                break
        reason = "length" if len(kept) < len(words) else "stop"
        return Completion(reason, len(prompt.split()), 0.001, sent, 0.001 * max(sent, 1))

    def embed(self, text: str) -> tuple[list[float], int]:
        seed = hashlib.sha256(text.encode()).digest()
        return [byte / 255 for byte in seed[:8]], len(text.split())

    def close(self) -> None:
        self.engine.closed += 1


class LlamaEngine:
    """Real inference on the CPU."""

    def load(self, request: LoadRequest) -> Loaded:
        # Imported here so that the rest of the stand-in runs without the wheel.
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(request.weights)
        params.n_ctx = request.context * request.parallel
        params.n_parallel = request.parallel
        params.n_gpu_layers = 0
        params.fit_params = False
        params.verbosity = 1
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads = request.threads or max(1, len(os.sched_getaffinity(0)) // 2)
            # The lab shares its machine: threads that spin while they wait for one another
            # are many times slower there than threads that sleep.
            cpu.poll = 0
        params.n_batch = params.n_ubatch = max(request.batch, 32)
        if request.embedding:
            # A whole input must fit one batch to be pooled.
            params.embedding = True
            params.n_batch = params.n_ubatch = params.n_ctx
        if request.adapters:
            params.lora_adapters = [_adapter(xllamacpp, path) for path in request.adapters]
        try:
            return _Llama(xllamacpp.Server(params))
        except RuntimeError as error:
            raise ApiError(f"llama runner process has terminated: {error}") from None


def _adapter(xllamacpp: t.Any, path: Path) -> t.Any:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path = str(path)
    adapter.scale = 1.0
    return adapter


class _Llama:
    """One llama.cpp server; chat templates and tokens go through its own loopback HTTP."""

    def __init__(self, server: t.Any) -> None:
        self._server = server
        self._address = server.listening_address
        self._lock = threading.Lock()

    def render(self, messages: list[dict[str, t.Any]]) -> str:
        return str(self._post("/apply-template", {"messages": messages})["prompt"])

    def tokenize(self, text: str) -> list[int]:
        body = {"content": text, "add_special": True, "parse_special": True}
        return list(self._post("/tokenize", body)["tokens"])

    def detokenize(self, tokens: list[int]) -> str:
        return str(self._post("/detokenize", {"tokens": tokens})["content"])

    def complete(self, prompt: str, sampling: dict[str, t.Any], on_text: OnText) -> Completion:
        outcome: dict[str, t.Any] = {}

        def on_chunk(chunk: dict[str, t.Any]) -> bool:
            if "error" in chunk:
                outcome["error"] = chunk["error"]
                return True
            choice = (chunk.get("choices") or [{}])[0]
            outcome["reason"] = choice.get("finish_reason") or outcome.get("reason")
            outcome["timings"] = chunk.get("timings") or outcome.get("timings")
            outcome["usage"] = chunk.get("usage") or outcome.get("usage")
            text = choice.get("text")
            return bool(text) and on_text(text)

        request = {"prompt": prompt, "stream": True, "cache_prompt": True, **sampling}
        try:
            self._server.handle_completions(request, on_chunk)
        except (ValueError, RuntimeError) as error:
            raise ApiError(str(error)) from None
        if "error" in outcome:
            raise ApiError(outcome["error"].get("message", "llama.cpp failed"))
        timings, usage = outcome.get("timings") or {}, outcome.get("usage") or {}
        return Completion(
            done_reason="length" if outcome.get("reason") == "length" else "stop",
            prompt_tokens=usage.get("prompt_tokens", 0),
            prompt_seconds=timings.get("prompt_ms", 0.0) / 1000,
            tokens=timings.get("predicted_n", 0),
            seconds=timings.get("predicted_ms", 0.0) / 1000,
        )

    def embed(self, text: str) -> tuple[list[float], int]:
        try:
            answer = self._server.handle_embeddings({"input": [text]})
        except (ValueError, RuntimeError) as error:
            raise ApiError(str(error), 400) from None
        if "error" in answer:
            raise ApiError(answer["error"].get("message", "llama.cpp failed"), 400)
        return list(answer["data"][0]["embedding"]), int(answer["usage"]["prompt_tokens"])

    def close(self) -> None:
        # The binding stops its threads when the object goes.
        with self._lock:
            self._server = None
        gc.collect()

    def _post(self, path: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
        request = urllib.request.Request(
            self._address + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return t.cast("dict[str, t.Any]", json.load(answer))
        except urllib.error.HTTPError as error:
            detail = json.load(error).get("error", {})
            raise ApiError(detail.get("message", str(error))) from None

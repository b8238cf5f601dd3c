# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask a model one thing and measure the answer. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import typing as t

from . import compare, names
from .errors import InvalidName, NotFound

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .client import Client
    from .names import Name

JsonObject = dict[str, t.Any]
Kind = t.Literal["chat", "generate", "embed"]

# Repeatable, and an end in sight: a small model may go on for ever at temperature 0.
DEFAULT_OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 128}


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked, and what the answer must be like."""

    name: Name
    kind: t.Literal["auto", "chat", "generate", "embed"] = "auto"
    prompt: str = ""
    system: str | None = None
    # A JSON schema, or "json" for any JSON.
    format: Mapping[str, t.Any] | str | None = None
    options: Mapping[str, t.Any] | None = None
    expect: str | None = None
    expect_language: str | None = None
    min_tokens: int = 1
    dimensions: int | None = None
    # How many percent of the model must be in the memory of GPUs.
    require_gpu: int = 0

    @property
    def fingerprint(self) -> str:
        """Equal for equal requests; the model's digest, not its name, says who is asked."""
        asked = {**dataclasses.asdict(self), "name": None}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def ask(client: Client, request: Request, kind: Kind, known: tuple[str, ...]) -> JsonObject:
    """Send the request and measure the answer."""
    nothing: JsonObject = dict.fromkeys(
        (
            "text",
            "tokens_per_second",
            "eval_count",
            "load_seconds",
            "dimensions",
            "done_reason",
        )
    )
    if kind == "embed":
        return {**nothing, "kind": kind, **_embed(client, request)}
    return {**nothing, "kind": kind, **_words(client, request, kind, thinks="thinking" in known)}


def placement(client: Client, request: Request, digest: str) -> JsonObject:
    """Where the model is in memory now."""
    running = client.running()
    mine = [entry for entry in running if entry.get("name") == request.name.short] or [
        entry for entry in running if entry.get("digest") == digest
    ]
    if running and not mine:
        # Models of the same weights share one place in memory, under the name that was first.
        weights = compare.weights_of(client.show(request.name))
        mine = [entry for entry in running if weights and _weights_of(client, entry) == weights]
    if not mine:
        return dict.fromkeys(("size", "size_vram", "processor", "gpu_share"))
    size, size_vram = int(mine[0].get("size") or 0), int(mine[0].get("size_vram") or 0)
    return {
        "size": size,
        "size_vram": size_vram,
        "processor": processor(size, size_vram),
        "gpu_share": gpu_share(size, size_vram),
    }


def _weights_of(client: Client, entry: Mapping[str, t.Any]) -> str | None:
    try:
        return compare.weights_of(client.show(names.parse(str(entry.get("name")))))
    except (NotFound, InvalidName):
        # Removed since; it stays in memory for a while.
        return None


def processor(size: int, size_vram: int) -> str:
    """Where a loaded model lives, in the words of `ollama ps`."""
    if size <= 0 or size_vram > size:
        return "Unknown"
    if size_vram == 0:
        return "100% CPU"
    if size_vram == size:
        return "100% GPU"
    cpu = round((size - size_vram) / size * 100)
    return f"{cpu}% CPU / {100 - cpu}% GPU"


def gpu_share(size: int, size_vram: int) -> float | None:
    """How many percent of a loaded model a GPU holds, never rounded up; None if nobody knows."""
    if size <= 0 or size_vram > size:
        return None
    return size_vram * 1000 // size / 10


def _words(client: Client, request: Request, kind: Kind, *, thinks: bool) -> JsonObject:
    body: JsonObject = {
        "model": request.name.short,
        "options": {**DEFAULT_OPTIONS, **(request.options or {})},
    }
    if request.format is not None:
        body["format"] = request.format
    if thinks:
        body["think"] = False
    text = ""
    last: JsonObject = {}
    for line, piece in _pieces(client, request, kind, body):
        text += piece
        last = line
    seconds = _seconds(last.get("eval_duration"))
    count = last.get("eval_count")
    return {
        "text": text,
        "eval_count": count,
        "tokens_per_second": round(count / seconds, 2) if count and seconds else None,
        "load_seconds": _seconds(last.get("load_duration")),
        "done_reason": last.get("done_reason"),
    }


def _pieces(
    client: Client, request: Request, kind: Kind, body: JsonObject
) -> Iterator[tuple[JsonObject, str]]:
    """Each line of the answer with the text it brings."""
    if kind == "generate":
        system = {"system": request.system} if request.system else {}
        for line in client.generate({**body, **system, "prompt": request.prompt}):
            yield line, line.get("response") or ""
        return
    told = [{"role": "system", "content": request.system}] if request.system else []
    messages = [*told, {"role": "user", "content": request.prompt}]
    for line in client.chat({**body, "messages": messages}):
        yield line, (line.get("message") or {}).get("content") or ""


def _embed(client: Client, request: Request) -> JsonObject:
    body: JsonObject = {"model": request.name.short, "input": request.prompt}
    if request.options:
        body["options"] = request.options
    answer = client.embed(body)
    vectors = answer.get("embeddings") or [[]]
    usable = all(math.isfinite(value) for value in vectors[0]) and any(vectors[0])
    return {
        "dimensions": len(vectors[0]) if usable else None,
        "eval_count": answer.get("prompt_eval_count"),
        "load_seconds": _seconds(answer.get("load_duration")),
    }


def _seconds(nanoseconds: t.Any) -> float | None:
    return round(nanoseconds / 1e9, 3) if isinstance(nanoseconds, (int, float)) else None

# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompts: which template renders a conversation, and what must go to make it fit."""

from __future__ import annotations

import typing as t

from lab.ollama import gotemplate
from lab.ollama.errors import ApiError
from lab.ollama.model import DEFAULT_TEMPLATE, Message, Model
from lab.ollama.scheduler import Runner


def conversation(
    model: Model, messages: t.Sequence[Message], *, system: str | None = None
) -> list[Message]:
    """Return the messages to render: the model's own first, its system prompt unless replaced."""
    whole = [*model.messages, *messages]
    chosen = model.system if system is None else system
    if chosen and (not messages or messages[0]["role"] != "system"):
        whole.insert(0, {"role": "system", "content": chosen})
    return whole


def render(
    runner: Runner, model: Model, messages: list[Message], template: str | None = None
) -> str:
    """Return the prompt for a conversation, oldest messages dropped until it fits.

    System messages and the last message always stay.
    """
    text = ""
    for start in range(len(messages)):
        dropped_system = [one for one in messages[:start] if one["role"] == "system"]
        text = _render(runner, model, dropped_system + messages[start:], template)
        if len(runner.loaded.tokenize(text)) <= runner.context:
            break
    return text


def _render(runner: Runner, model: Model, messages: list[Message], template: str | None) -> str:
    # Not the runner's model: it may be another one of the same weights.
    if template is None and model.uses_jinja:
        return runner.loaded.render(messages)
    chosen = template or model.template or DEFAULT_TEMPLATE
    return gotemplate.render_messages(chosen, messages)


def fit_text(runner: Runner, text: str, truncate: bool) -> str:
    """Return a text for embedding, cut to the context if that is allowed."""
    tokens = runner.loaded.tokenize(text)
    if len(tokens) <= runner.context:
        return text
    if not truncate:
        raise ApiError("the input length exceeds the context length", 400)
    return runner.loaded.detokenize(tokens[: runner.context])

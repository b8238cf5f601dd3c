# SPDX-License-Identifier: GPL-3.0-or-later
"""Name rules."""

from __future__ import annotations

import pytest

from lab.ollama.names import Name, parse

DEFAULTS = ("registry.ollama.ai", "library")


@pytest.mark.parametrize(
    ("text", "parts", "short"),
    [
        ("a", (*DEFAULTS, "a", "latest"), "a:latest"),
        ("a:1.b", (*DEFAULTS, "a", "1.b"), "a:1.b"),
        ("me/a", (DEFAULTS[0], "me", "a", "latest"), "me/a:latest"),
        ("hf.co/me/a.gguf:Q4", ("hf.co", "me", "a.gguf", "Q4"), "hf.co/me/a.gguf:Q4"),
        ("h:80/me/a", ("h:80", "me", "a", "latest"), "h:80/me/a:latest"),
        ("https://h:80/me/a", ("h:80", "me", "a", "latest"), "h:80/me/a:latest"),
        ("Registry.Ollama.AI/Library/a", ("Registry.Ollama.AI", "Library", "a", "latest"),
         "a:latest"),
        ("library/a", (*DEFAULTS, "a", "latest"), "a:latest"),
    ],
)  # fmt: skip
def test_valid(text: str, parts: tuple[str, ...], short: str) -> None:
    name = parse(text)
    assert (name.parts, name.short, name.valid) == (parts, short, True)


@pytest.mark.parametrize(
    "text",
    ["", ":tag", "a:", "/a", "a/", "-a", ".a", "a b", "n.s/a", "a@sha256:0", "a:b:c", "a/b/c/d",
     "a" * 81, "日本"],
)  # fmt: skip
def test_invalid(text: str) -> None:
    assert not parse(text).valid


def test_folding_takes_each_part_from_what_exists() -> None:
    existing = [Name(*DEFAULTS, "Other", "LATEST"), Name(*DEFAULTS, "SmolLM", "135M")]
    assert parse("smollm").folded_onto(existing) == Name(*DEFAULTS, "SmolLM", "LATEST")
    assert parse("new:x").folded_onto(existing) == parse("new:x")

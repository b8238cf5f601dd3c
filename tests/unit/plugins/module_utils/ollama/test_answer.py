# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import answer, names


@pytest.mark.parametrize(
    ("size", "size_vram", "text"),
    [
        (100, 0, "100% CPU"),
        (100, 100, "100% GPU"),
        (100, 63, "37% CPU / 63% GPU"),
        (3, 2, "33% CPU / 67% GPU"),
        (100, 101, "Unknown"),
        (0, 0, "Unknown"),
    ],
)
def test_processor_is_told_as_ollama_ps_does(size, size_vram, text):
    assert answer.processor(size, size_vram) == text


@pytest.mark.parametrize(
    ("size", "size_vram", "share"),
    [
        (100, 0, 0.0),
        (100, 100, 100.0),
        (3, 2, 66.6),
        # Not all of it is not 100 %, however little is missing.
        (1_000_000, 999_999, 99.9),
        (100, 101, None),
        (0, 0, None),
    ],
)
def test_share_of_the_gpu_is_never_rounded_up(size, size_vram, share):
    assert answer.gpu_share(size, size_vram) == share


def fingerprint(**changes):
    request = {"name": names.parse("x"), "prompt": "hello", **changes}
    return answer.Request(**request).fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "chat"},
        {"prompt": "other"},
        {"system": "s"},
        {"format": {"type": "object"}},
        {"options": {"num_ctx": 1024}},
        {"expect": "x"},
        {"min_tokens": 2},
        {"kind": "generate"},
        {"format": "json"},
        {"expect_language": "ja"},
        {"dimensions": 1024},
        {"require_gpu": 80},
    ],
)
def test_fingerprint_changes_with_the_request(changes):
    assert fingerprint(**changes) != fingerprint()


def test_fingerprint_ignores_the_name_and_the_order_of_options():
    assert fingerprint(name=names.parse("y")) == fingerprint()
    one, other = {"seed": 1, "top_k": 2}, {"top_k": 2, "seed": 1}
    assert fingerprint(options=one) == fingerprint(options=other)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Chat templates inside a GGUF that the server knows: a TEMPLATE and stops take their place.

The real server knows a few dozen and takes the nearest; here it is ChatML alone, by its marks.
"""

from __future__ import annotations

import dataclasses
import typing as t

#: What does more than mark the turns is as good as unknown to the real server too.
_LONGEST = 500


@dataclasses.dataclass(frozen=True)
class Known:
    """What becomes of a chat template that is recognised."""

    name: str
    template: str
    parameters: dict[str, t.Any]


CHATML = Known(
    "chatml",
    """\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
""",
    {"stop": ["<|im_start|>", "<|im_end|>"]},
)


def detect(chat_template: str) -> Known | None:
    """The known template that this one is like, if any."""
    marked = all(mark in chat_template for mark in CHATML.parameters["stop"])
    return CHATML if marked and len(chat_template) <= _LONGEST else None

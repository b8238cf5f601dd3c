# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from lab.status import parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0B", 0),
        ("132.1kB", 132_100),
        ("206MB", 206_000_000),
        ("1.07GB", 1_070_000_000),
        ("741MB (virtual 936MB)", 741_000_000),
        ("N/A", 0),
    ],
)
def test_the_engines_sizes_become_bytes(text: str, expected: int) -> None:
    assert parse_size(text) == expected

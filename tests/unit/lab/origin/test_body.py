# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges, as RFC 9110 wants them."""

from __future__ import annotations

import pytest

from lab.origin.body import RangeNotSatisfiable, Span, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", Span(0, 1, 10)),
        ("bytes=2-", Span(2, 10, 10)),
        ("bytes=-3", Span(7, 10, 10)),
        ("bytes=-30", Span(0, 10, 10)),
        ("bytes=5-50", Span(5, 10, 10)),
        ("bytes=5-4", None),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("lines=1-2", None),
        ("bytes=x-2", None),
    ],
)
def test_parse_range(header: str | None, expected: Span | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_outside_the_file(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 10)

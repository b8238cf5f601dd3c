# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
import random

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download.spans import (
    Spans,
    are_orderly,
)

SIZE = 40


def as_spans(there: set[int]) -> tuple[tuple[int, int], ...]:
    """The same, byte by byte."""
    firsts = sorted(at for at in there if at - 1 not in there)
    ends = sorted(at + 1 for at in there if at + 1 not in there)
    return tuple(zip(firsts, ends, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_ranges_are_what_a_set_of_bytes_would_be(seed):
    chance = random.Random(seed)
    spans, there = Spans(), set()
    for _ in range(100):
        first, end = sorted(chance.choices(range(SIZE + 1), k=2))
        if chance.random() < 0.7:
            spans.add(first, end)
            there |= set(range(first, end))
        else:
            spans.remove(first, end)
            there -= set(range(first, end))
        assert spans.ranges == as_spans(there)
        assert spans.total == len(there)
        assert spans.prefix == next(n for n in itertools.count() if n not in there)
        assert spans.end == max(there, default=-1) + 1
        assert tuple(spans.missing(SIZE)) == as_spans(set(range(SIZE)) - there)
        assert are_orderly([list(pair) for pair in spans.ranges], SIZE)


@pytest.mark.parametrize(
    "ranges",
    [
        None,
        {},
        [5],
        [[0]],
        [[0, 1, 2]],
        [[0, "1"]],
        [[0, 1.0]],
        [[False, True]],
        [[-1, 2]],
        [[3, 3]],
        [[4, 3]],
        [[0, SIZE + 1]],
        [[0, 3], [2, 5]],
        [[0, 3], [3, 5]],
        [[6, 8], [0, 3]],
    ],
)
def test_anything_else_is_not_orderly(ranges):
    assert are_orderly(ranges, SIZE) is False

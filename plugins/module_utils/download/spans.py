# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of bytes of a file, as half open ranges. Pure. Private."""

from __future__ import annotations

import bisect
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable

Range = tuple[int, int]


class Spans:
    """Which bytes there are: ascending ranges that do not touch each other."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []
        for first, end in ranges:
            self.add(first, end)

    @property
    def ranges(self) -> tuple[Range, ...]:
        return tuple(zip(self._firsts, self._ends, strict=True))

    @property
    def total(self) -> int:
        """How many bytes these are."""
        return sum(self._ends) - sum(self._firsts)

    @property
    def prefix(self) -> int:
        """How many bytes there are from the start of the file on."""
        return self._ends[0] if self._firsts and self._firsts[0] == 0 else 0

    @property
    def end(self) -> int:
        """Where the last range ends."""
        return self._ends[-1] if self._ends else 0

    def add(self, first: int, end: int) -> None:
        if first >= end:
            return
        # Everything that overlaps or touches becomes one with it.
        low = bisect.bisect_left(self._ends, first)
        high = bisect.bisect_right(self._firsts, end)
        if low < high:
            first = min(first, self._firsts[low])
            end = max(end, self._ends[high - 1])
        self._firsts[low:high] = [first]
        self._ends[low:high] = [end]

    def remove(self, first: int, end: int) -> None:
        kept = []
        for start, stop in self.ranges:
            kept += [(start, min(stop, first)), (max(start, end), stop)]
        self._firsts, self._ends = [], []
        for start, stop in kept:
            self.add(start, stop)

    def missing(self, size: int) -> list[Range]:
        """What a file of this size lacks."""
        firsts = [0, *self._ends]
        ends = [*self._firsts, size]
        return [(first, end) for first, end in zip(firsts, ends, strict=True) if first < end]


def are_orderly(ranges: t.Any, size: int) -> bool:
    """Whether this is what C(ranges) gives for a file of this size, read from somewhere."""
    if not isinstance(ranges, list):
        return False
    before = -1
    for pair in ranges:
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)):
            return False
        first, end = pair
        if not before < first < end <= size:
            return False
        before = end
    return True

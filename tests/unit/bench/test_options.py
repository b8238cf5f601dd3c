# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from tests.bench.options import Options, options


def test_without_options_it_is_the_whole_bench():
    assert options({"SIZE": "", "CASES": ""}) == Options()
    assert options({}).is_whole


@pytest.mark.parametrize(
    "one", [{"SIZE": "64M"}, {"CASES": "a,b"}, {"ROUNDS": "1"}, {"KILLS": "2"}]
)
def test_anything_less_is_not(one):
    assert not options(one).is_whole


def test_what_the_options_mean():
    told = options({"SIZE": "256M", "CASES": "c a", "ROUNDS": "2", "KILLS": "5"})
    assert told == Options(256 * 1024**2, ("a", "c"), 2, 5)
    assert told.killed_size == 1_000_000_000
    assert (told.runs("a"), told.runs("b")) == (True, False)


def test_memory_alone_is_measured_without_a_cap():
    told = options({"CASES": "d"})
    assert [case for case in "abc" if told.runs(case)] == ["b"]


@pytest.mark.parametrize("one", [{"SIZE": "1T"}, {"CASES": "a,x"}, {"ROUNDS": "0"}, {"KILLS": "x"}])
def test_option_that_means_nothing_is_named(one):
    with pytest.raises(SystemExit, match=next(iter(one))):
        options(one)

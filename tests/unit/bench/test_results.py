# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from tests.bench.kills import Killed
from tests.bench.measure import Taken
from tests.bench.page import About, page
from tests.bench.results import GB, Results, Summary, summary

ABOUT = About("2026-11-25", "2 cores", {"nginx": "1.22.1"}, 1024**3, 4 * GB, 20, 12 * GB)


def took(seconds: float, memory: int = 40_000_000) -> Summary:
    return Summary(seconds, 2.0, memory, 3)


def killed(sent: int, *, right: bool = True) -> Killed:
    return Killed(sent, 1000, 20, right, Taken(1, 1, 40_000_000))


@pytest.fixture
def results():
    """Every target is just met."""
    return Results(
        capped={"gguf_file": took(3.0), "aria2c": took(3.0)},
        uncapped={
            "gguf_file": took(2.0),
            "curl + sha256sum": took(2.0),
            "aria2c --checksum": took(4.0),
        },
        killed={"gguf_file": killed(1010), "hf download": killed(1900, right=False)},
    )


def unmet(results: Results) -> list[str]:
    return [one.case for one in results.verdicts() if not one.met]


def test_targets_that_are_just_met(results):
    assert unmet(results) == []
    assert [one.case for one in results.verdicts()] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("case", "tool", "seconds", "missed"),
    [
        ("capped", "aria2c", 2.9, "a"),
        ("uncapped", "curl + sha256sum", 1.9, "b"),
        ("uncapped", "aria2c --checksum", 3.9, "b"),
    ],
)
def test_tool_that_is_faster_than_aimed_at(results, case, tool, seconds, missed):
    getattr(results, case)[tool] = took(seconds)
    assert unmet(results) == [missed]


@pytest.mark.parametrize("ours", [killed(1011), killed(1000, right=False)])
def test_kills_that_cost_too_much(results, ours):
    results.killed["gguf_file"] = ours
    assert unmet(results) == ["c"]


def test_too_much_memory_in_any_case(results):
    results.capped["gguf_file"] = took(3.0, 151_000_000)
    assert unmet(results) == ["d"]


def test_case_that_did_not_run_has_no_verdict(results):
    results.capped, results.killed = {}, {}
    assert [one.case for one in results.verdicts()] == ["b", "d"]


def test_summary_is_the_median_of_times_and_the_most_of_memory():
    rounds = [Taken(9, 4, 10), Taken(2, 2, 30), Taken(3, 3, 20)]
    assert summary(rounds, 2 * GB) == Summary(3, 1.5, 30, 3)


def test_page_tells_ratios_and_what_is_not_met(results):
    results.capped["aria2c"] = took(1.5)
    text = page(results, ABOUT)
    assert "| aria2c | 0.50 | 2.00 s/GB | 40 MB |" in text
    assert "| a | `aria2c` takes 0.50 times as long (at least 1.00) | **not met** |" in text
    assert "| hf download | 90.00 % | **not right** |" in text
    assert "## c: 4 GB, killed 20 times" in text

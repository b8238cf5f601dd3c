# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from scripts.demo_cut import story

PATH = "/hf-cdn/o/n/c/x.gguf"


def get(sent: int, start: int = 0, fault: str | None = None, path: str = PATH) -> dict:
    wanted = f"bytes={start}-" if start else None
    return {"method": "GET", "path": path, "range": wanted, "bytes": sent, "fault": fault}


def test_a_cut_is_told_with_what_came_twice():
    told = story([get(10_000_000, fault="cut_after"), get(90_000_000, start=8_500_000)])
    assert "cut after 10.0 MB of x.gguf" in told
    assert "1.5 MB came twice" in told


@pytest.mark.parametrize(
    "requests", [[], [get(98_500_000)], [get(40_000_000, fault="cut_after", path="/v2/blob")]]
)
def test_without_a_cut_there_is_nothing_to_tell(requests):
    assert story(requests) == ""

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils import rate


@pytest.fixture
def now():
    return [0.0]


def moving(now, speeds):
    """What is measured after so many seconds of each speed, looked at four times a second."""
    measured, moved = rate.Rate(1000, clock=lambda: now[0]), 1000.0
    for speed, seconds in speeds:
        for _quarter in range(4 * seconds):
            now[0] += 0.25
            moved += speed / 4
            measured.feed(int(moved))
    return measured


def test_nothing_moved_at_the_beginning(now):
    assert rate.Rate(1000, clock=lambda: now[0]).value == 0


def test_what_was_moved_before_does_not_count(now):
    assert moving(now, [(100, 4)]).value == 100


def test_speed_is_that_of_late(now):
    measured = moving(now, [(1000, 60), (100, int(rate.WINDOW_SECONDS) + 1)])
    assert measured.value == 100


def test_silence_makes_it_slower_and_then_none(now):
    measured = moving(now, [(150, 30)])
    now[0] += rate.WINDOW_SECONDS / 2
    assert 0 < measured.value < 150
    now[0] += rate.WINDOW_SECONDS
    assert measured.value == 0

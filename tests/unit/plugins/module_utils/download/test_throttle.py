# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download.throttle import (
    LEAST_RATE,
    Throttle,
)

MIB = 1024 * 1024


@pytest.fixture
def clock():
    class Clock:
        now = 100.0

        def sleep(self, seconds):
            self.now += seconds

    return Clock()


def limited(clock, rate):
    return Throttle(rate, clock=lambda: clock.now, sleep=clock.sleep)


def test_rate_is_kept_over_everything(clock):
    throttle = limited(clock, MIB)
    for _ in range(40):
        throttle.spend(MIB // 4)
    assert clock.now - 100 == pytest.approx(10)


def test_silence_is_not_saved_up(clock):
    throttle = limited(clock, MIB)
    clock.now += 1000
    throttle.spend(2 * MIB)
    assert clock.now - 1100 == pytest.approx(1.75)


def test_no_limit_is_no_pause(clock):
    throttle = limited(clock, None)
    throttle.spend(10**12)
    assert (clock.now, throttle.lanes(8), throttle.piece(MIB)) == (100, 8, MIB)


@pytest.mark.parametrize(
    ("rate", "lanes"), [(1, 1), (LEAST_RATE, 1), (3 * LEAST_RATE, 3), (100 * LEAST_RATE, 8)]
)
def test_slow_rate_has_few_lanes(clock, rate, lanes):
    assert limited(clock, rate).lanes(8) == lanes

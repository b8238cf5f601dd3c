# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import patience
from ansible_collections.edgellm.host.plugins.module_utils.download.errors import (
    Busy,
    DownloadError,
    Lost,
)


@pytest.fixture
def slept():
    return []


@pytest.fixture
def patient(slept, monkeypatch):
    monkeypatch.setattr(patience, "BASE_SECONDS", 1.0)
    return lambda retries, chance=0.5: patience.Patience(
        retries, sleep=slept.append, chance=lambda: chance
    )


def test_pauses_double_up_to_a_limit(patient, slept):
    waiting = patient(9)
    for _ in range(9):
        waiting.wait(Lost("gone"))
    assert slept == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert waiting.used == 9


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 0.5), (0.999, 1.499)])
def test_pauses_differ_between_hosts(patient, slept, chance, pause):
    patient(1, chance).wait(Lost("gone"))
    assert slept == [pause]


def test_end_of_patience_says_what_was_wrong_and_what_to_do(patient):
    waiting = patient(2)
    waiting.wait(Lost("gone."))
    waiting.wait(Lost("gone."))
    with pytest.raises(DownloadError, match=r"gone\. Tried 3 times in a row\. .*run it again"):
        waiting.wait(Lost("gone."))


def test_progress_starts_the_count_anew(patient, slept):
    waiting = patient(1)
    for _ in range(5):
        waiting.wait(Lost("gone"))
        waiting.refill()
    assert slept == [1] * 5
    assert waiting.used == 5


def test_wish_of_the_server_is_respected(patient, slept):
    waiting = patient(2)
    waiting.wait(Busy("busy", retry_after=30))
    waiting.wait(Busy("busy", retry_after=0))
    assert slept == [31, 1]


def test_wish_that_is_too_long_is_told(patient, slept):
    with pytest.raises(DownloadError, match="come back in 601 seconds"):
        patient(2).wait(Busy("busy.", retry_after=601))
    assert slept == []

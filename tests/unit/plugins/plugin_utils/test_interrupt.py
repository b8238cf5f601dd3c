# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from ansible_collections.edgellm.host.plugins.plugin_utils import interrupt


@pytest.fixture
def ended():
    """The signals that would have ended the process."""
    ended = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [
        signal.signal(number, lambda number, _frame: ended.append(number)) for number in numbers
    ]
    yield ended
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_end_is_asked_for_and_waits_until_it_suits(ended):
    with interrupt.noted() as asked:
        asked.check()
        # Ansible sends both.
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            asked.sleep(60)
    assert ended == []
    # Nothing is left that would end what comes afterwards.
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    os.kill(os.getpid(), signal.SIGINT)
    assert ended == [signal.SIGINT]


def test_sleep_ends_as_soon_as_an_end_is_asked_for(ended):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    with interrupt.noted() as asked, pytest.raises(KeyboardInterrupt):
        asked.sleep(60)
    assert time.monotonic() - began < 30


def test_host_that_does_not_answer_is_not_waited_for_long(ended, monkeypatch):
    monkeypatch.setattr(interrupt, "GRACE_SECONDS", 0.1)
    with interrupt.noted():
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 10
        while not ended and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ended == [signal.SIGTERM]


def test_sleep_without_any_signal_is_only_a_sleep():
    with interrupt.noted() as asked:
        asked.sleep(0.01)
    assert asked.asked is False

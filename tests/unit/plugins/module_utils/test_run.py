# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import signal
import time

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edgellm.host.plugins.module_utils import run as frame
from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError


@pytest.fixture
def run(capsys):
    def run(work, **options):
        with patch_module_args({}), pytest.raises(SystemExit) as caught:
            frame.run(AnsibleModule(argument_spec={}), work, **options)
        return caught.value.code, json.loads(capsys.readouterr().out)

    return run


def test_result_of_the_work_is_the_modules(run):
    code, result = run(lambda _module: {"changed": True, "x": 1})
    assert code == 0
    assert (result["changed"], result["x"]) == (True, 1)


def test_error_becomes_one_message_with_its_details(run):
    def work(_module):
        raise EdgellmError("Turn it on.", switch="off")

    code, result = run(work)
    assert code == 1
    assert (result["failed"], result["msg"], result["switch"]) == (True, "Turn it on.", "off")


def test_missing_httpx_is_told_by_name(run, monkeypatch):
    monkeypatch.setattr(frame, "HTTPX_IMPORT_ERROR", "ImportError: no")
    code, result = run(lambda _module: {}, needs_httpx=True)
    assert code == 1
    assert "httpx" in result["msg"]
    assert "python3-httpx" in result["msg"]


def test_missing_httpx_does_not_matter_to_who_needs_none(run, monkeypatch):
    monkeypatch.setattr(frame, "HTTPX_IMPORT_ERROR", "ImportError: no")
    assert run(lambda _module: {})[0] == 0


def test_work_that_is_stopped_leaves_everything_in_order_and_says_so(run):
    left = []

    def work(_module):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except (EdgellmError, OSError, RuntimeError, ValueError):
            left.append("taken for a fault")
        finally:
            # Whoever is impatient does not disturb it.
            os.kill(os.getpid(), signal.SIGTERM)
            left.append("in order")

    before = signal.getsignal(signal.SIGTERM)
    code, result = run(work)
    assert (code, left) == (1, ["in order"])
    assert "stopped (SIGTERM). What was fetched is kept: run it again" in result["msg"]
    assert signal.getsignal(signal.SIGTERM) == before

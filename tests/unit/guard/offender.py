# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that acts in check mode; not collected by itself, test_guard.py runs it."""

from __future__ import annotations

import types

import httpx
import pytest
from ansible.module_utils.basic import AnsibleModule


@pytest.fixture
def run(run_module, ollama):
    """Run a module that sends this request whether it is check mode or not."""

    def run(method, path, *, check_mode):
        def main():
            module = AnsibleModule(argument_spec={}, supports_check_mode=True)
            httpx.request(method, ollama.url + path, content=b'{"model":"x"}', trust_env=False)
            module.exit_json(changed=True)

        run_module(types.SimpleNamespace(main=main), check_mode=check_mode)

    return run


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/pull"),
        ("POST", "/api/copy"),
        ("POST", "/api/chat"),
        ("POST", "/api/generate"),
        ("DELETE", "/api/delete"),
        ("PUT", "/api/show"),
    ],
)
def test_guilty(run, method, path):
    run(method, path, check_mode=True)


@pytest.mark.parametrize(
    ("method", "path", "check_mode"),
    [
        ("GET", "/api/tags", True),
        ("HEAD", "/api/blobs/sha256:0", True),
        ("POST", "/api/show", True),
        ("POST", "/api/pull", False),
        ("DELETE", "/api/delete", False),
    ],
)
def test_innocent(run, method, path, check_mode):
    run(method, path, check_mode=check_mode)

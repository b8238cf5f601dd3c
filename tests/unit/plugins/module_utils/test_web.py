# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys

import pytest
from ansible_collections.edgellm.host.plugins.module_utils import web
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("x.localhost", True),
        ("192.0.2.1", False),
        ("localhost.example", False),
        ("ollama", False),
    ],
)
def test_loopback_is_recognised(host, loopback):
    assert web.is_loopback(host) is loopback


def test_silence_is_limited_but_a_connection_more_so():
    assert (web.idle_timeout(300).read, web.idle_timeout(300).connect) == (300, 10)
    assert web.idle_timeout(3).connect == 3


@pytest.mark.parametrize(
    "url", ["", "x", "127.0.0.1:11434", "ftp://x", "http://", "http://:80", "http://x:y"]
)
def test_url_that_is_none_is_refused(url):
    with pytest.raises(Refused, match="URL"):
        web.open_client(url, timeout=1)


def test_httpx_comes_without_what_its_program_needs(root):
    # In this process somebody else may have imported it all.
    program = f"import sys, {web.__name__} as web; web.httpx.Client().close(); print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(root / "collections")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True
    )
    assert {"click", "rich"} & set(done.stdout.split()) == set()

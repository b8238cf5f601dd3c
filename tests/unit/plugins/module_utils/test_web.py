# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

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


def test_invalid_url_is_refused():
    with pytest.raises(Refused, match="Invalid URL 'http://x:y'"):
        web.open_client("http://x:y", timeout=1)

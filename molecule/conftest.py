# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' testinfra files share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

# The boxes have no curl; Python's standard library is all there is.
ASK = """
import json, sys, urllib.request
body = json.loads(sys.stdin.read() or "null")
data = None if body is None else json.dumps(body).encode()
with urllib.request.urlopen(urllib.request.Request(sys.argv[1], data=data), timeout=120) as answer:
    sys.stdout.write(answer.read().decode())
"""
Api = Callable[..., Any]


@pytest.fixture
def api(host) -> Api:
    """Ask Ollama on the box: `api("/api/tags")`, `api("/api/show", {"model": "m"})`."""

    def ask(path: str, body: object = None) -> Any:
        url = f"http://127.0.0.1:11434{path}"
        text = json.dumps(body) if body is not None else ""
        done = host.run("printf %%s %s | python3 -c %s %s", text, ASK, url)
        assert done.rc == 0, done.stderr
        return json.loads(done.stdout)

    return ask


@pytest.fixture
def docker_json(host) -> Api:
    """`docker inspect` on the box, as data."""

    def inspect(*names: str) -> Any:
        return json.loads(host.check_output("docker inspect %s", " ".join(names)))[0]

    return inspect

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import reach
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

STATUSES = {"/fine": 200, "/gone": 404, "/broken": 500, "/closed": 401}


@pytest.fixture
def url(served):
    def answer(request):
        return Response(status_code=STATUSES[request.url.path])

    def away(_request):
        return RedirectResponse("http://127.0.0.1:9/nobody")

    routes = [Route(path, answer) for path in STATUSES]
    return served(Starlette(routes=[*routes, Route("/away", away)]))


@pytest.mark.parametrize("path", [*STATUSES, "/away"])
def test_any_answer_counts(url, path):
    assert reach.unreachable([url + path]) == {url + path: None}


def test_reasons_are_in_words(url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = f"http://127.0.0.1:{taken.getsockname()[1]}"
    found = reach.unreachable([f"{url}/fine", refused, "http://name.invalid", "no url"])
    assert found[f"{url}/fine"] is None
    assert found[refused] == "connection refused"
    assert found["http://name.invalid"].startswith("its name cannot be resolved")
    assert "no url" in found["no url"]


def test_silence_is_not_an_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert reach.unreachable([url], timeout=0.2) == {url: "no answer within 0.2 s"}


def test_nothing_is_asked_for_nothing():
    assert reach.unreachable([]) == {}

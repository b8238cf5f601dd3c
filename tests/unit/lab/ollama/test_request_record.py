# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from lab.ollama.request_record import RequestRecord
from lab.testing import serve


async def length(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def test_bodies_are_written_down_byte_by_byte_and_still_reach_the_app(tmp_path):
    record = tmp_path / "requests.jsonl"
    app = Starlette(routes=[Route("/api/chat", length, methods=["GET", "POST"])])
    body = "日本語 𠮷".encode()
    with serve(RequestRecord(app, record)) as url:
        assert httpx.post(f"{url}/api/chat", content=body).text == str(len(body))
        httpx.get(f"{url}/api/chat")
    (line,) = record.read_text(encoding="utf-8").splitlines()
    assert bytes.fromhex(json.loads(line)["hex"]) == body

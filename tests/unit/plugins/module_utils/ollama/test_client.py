# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import errors, names
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Client
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = names.parse("x")
SUCCESS = b'{"status":"success"}\n'


async def trickle():
    for _ in range(5):
        await asyncio.sleep(0.2)
        yield b'{"status":"pulling 171d1efb0895"}\n'
    yield SUCCESS


@pytest.fixture
def answering(served):
    """A client of a server that gives this answer to everything."""
    with contextlib.ExitStack() as stack:

        def connect(answer):
            async def endpoint(_request):
                return answer

            methods = ["GET", "HEAD", "POST", "DELETE"]
            route = Route("/{path:path}", endpoint, methods=methods)
            url = served(Starlette(routes=[route]))
            return stack.enter_context(Client(url, timeout=5))

        yield connect


def stream(*chunks):
    async def body():
        for chunk in chunks:
            yield chunk

    return StreamingResponse(body(), media_type="application/x-ndjson")


def pull(client):
    return list(client.pull(MODEL, insecure=False))


def test_pull_succeeds_by_its_last_line(answering):
    client = answering(stream(b'{"status":"pulling manifest"}\n', SUCCESS))
    assert [line["status"] for line in pull(client)] == ["pulling manifest", "success"]


def test_error_line_after_http_200_is_a_failure(answering):
    said = b'{"error":"pull model manifest: file does not exist"}\n'
    client = answering(stream(b'{"status":"pulling manifest"}\n', said))
    with pytest.raises(errors.ApiError, match="pull model manifest: file does not exist"):
        pull(client)


def test_stream_that_ends_without_success_is_a_failure(answering):
    client = answering(stream(b'{"status":"verifying sha256 digest"}\n'))
    with pytest.raises(errors.StreamCut, match=r"without success.*verifying sha256 digest"):
        pull(client)


def test_empty_stream_is_a_failure(answering):
    with pytest.raises(errors.StreamCut, match="without success"):
        pull(answering(stream()))


def test_broken_line_is_a_failure(answering):
    with pytest.raises(errors.StreamCut, match="broken line"):
        pull(answering(stream(b'{"status":\n', SUCCESS)))


def test_connection_that_breaks_in_a_stream_is_a_failure(answering):
    # More is promised than is sent, as when the server dies.
    cut = Response(SUCCESS, headers={"content-length": "1000"})
    with pytest.raises(errors.StreamCut, match="broke on /api/pull"):
        pull(answering(cut))


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_are_put_together_from_any_pieces(answering, size):
    # U+0085 and U+2028 end a line for many a reader, but not in NDJSON.
    text = "日本\u0085𠮷\u2028語"
    raw = f'{{"message":{{"content":"{text}"}}}}\n\n{{"done":true}}'.encode()
    client = answering(stream(*(raw[at : at + size] for at in range(0, len(raw), size))))
    pieces = list(client.chat({"model": "x"}))
    assert pieces == [{"message": {"content": text}}, {"done": True}]


def test_answer_that_is_cut_off_is_a_failure(answering):
    client = answering(stream(b'{"message":{"content":"a"},"done":false}\n'))
    with pytest.raises(errors.StreamCut, match="cut off"):
        list(client.chat({"model": "x"}))


def test_error_status_carries_the_servers_words(answering):
    client = answering(JSONResponse({"error": "invalid model name"}, status_code=400))
    with pytest.raises(errors.ApiError, match=r"invalid model name \(HTTP 400") as caught:
        pull(client)
    assert caught.value.status == 400


def test_missing_model_is_an_error_of_its_own(answering):
    client = answering(JSONResponse({"error": "model 'x' not found"}, status_code=404))
    with pytest.raises(errors.NotFound, match="model 'x' not found"):
        client.delete(MODEL)


def test_refusal_by_host_name_is_explained(answering):
    with pytest.raises(errors.ApiError, match="bound to loopback"):
        answering(Response(status_code=403)).version()


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("Welcome to nginx"),
        JSONResponse(["x"]),
        JSONResponse({"hello": 1}),
    ],
)
def test_something_else_on_the_port_is_recognised(answering, answer):
    with pytest.raises(errors.NotOllama, match=r"is not Ollama|does not tell a version"):
        answering(answer).version()


def test_nobody_there_is_told_with_the_remedy(nobody):
    with pytest.raises(errors.Unreachable) as caught:
        Client(nobody, timeout=5).version()
    assert f"Ollama does not answer at {nobody}: " in str(caught.value)
    assert "Is the container running? See: edgellm status" in str(caught.value)


def test_silence_is_limited():
    # The queue of a listening socket accepts, and nobody ever answers.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(errors.Silent, match=r"sent nothing for 0.2 s.*option timeout"):
            Client(url, timeout=0.2).version()


def test_pull_may_last_longer_than_the_timeout_as_long_as_bytes_move(answering):
    client = answering(StreamingResponse(trickle()))
    with Client(client.url, timeout=0.6) as impatient:
        assert len(pull(impatient)) == 6


def test_proxies_are_not_asked_for_the_machine_itself(answering, monkeypatch, nobody):
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, nobody)
    assert answering(JSONResponse({"version": "0.1.2"})).version() == "0.1.2"


@pytest.mark.parametrize("url", ["127.0.0.1:11434", "", "http://x:port"])
def test_url_that_is_none_is_refused(url):
    with pytest.raises(Refused, match="URL"):
        Client(url, timeout=1)


def test_url_may_have_a_path_and_a_slash_at_its_end(answering, traffic):
    client = answering(JSONResponse({"version": "0.1.2"}))
    with Client(f"{client.url}/ollama/", timeout=5) as proxied:
        proxied.version()
    assert traffic.lines() == ["GET /ollama/api/version"]


def test_requests_name_the_model_as_the_server_lists_it(answering, traffic):
    for name, insecure in (
        ("registry.ollama.ai/library/bge-m3", False),
        ("198.51.100.1:80/library/bge-m3", True),
    ):
        list(answering(stream(SUCCESS)).pull(names.parse(name), insecure=insecure))
    assert [seen.json for seen in traffic.requests] == [
        {"model": "bge-m3:latest", "insecure": False, "stream": True},
        {"model": "198.51.100.1:80/library/bge-m3:latest", "insecure": True, "stream": True},
    ]


def test_models_of_old_servers_are_read_too(answering):
    entry = {"name": "x:latest", "digest": "d", "size": 3, "details": None}
    (model,) = answering(JSONResponse({"models": [entry]})).tags()
    assert (model.name, model.size, model.capabilities) == (MODEL, 3, None)


@pytest.mark.parametrize(("status", "there"), [(200, True), (404, False)])
def test_blob_is_looked_for_by_head(answering, traffic, status, there):
    assert answering(Response(status_code=status)).has_blob("sha256:abc") is there
    assert traffic.lines() == ["HEAD /api/blobs/sha256:abc"]

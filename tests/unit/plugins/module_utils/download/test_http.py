# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
import email.utils
import socket
import ssl
import subprocess
import threading
import time

import httpx
import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import http
from ansible_collections.edgellm.host.plugins.module_utils.download.errors import (
    Lost,
    Unavailable,
)

from tests.unit.file_server import Fault


@pytest.fixture
def client():
    with http.Http(timeout=5) as client:
        yield client


def redirect(target):
    return Fault("HEAD", status=307, headers={"Location": target})


@pytest.mark.parametrize("target", ["/plain/there", "there", "?x=1"])
def test_relative_redirects_are_followed(server, client, target):
    server.faults.append(redirect(target))
    with client.open("HEAD", server.plain) as answer:
        assert (answer.status, answer.redirected) == (200, True)


def test_redirects_in_a_circle_end(server, client):
    server.faults.extend([redirect(server.plain)] * 20)
    with pytest.raises(Unavailable, match="in a circle"), client.open("HEAD", server.plain):
        pass
    assert len(server.seen) == http.MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "target",
    ["ftp://example.com/x?Signature=hush", "http://:80/?hush=1", "http://[hush", "http://hush]/x"],
)
def test_redirect_to_nowhere_is_told_without_secrets(server, client, target):
    server.faults.append(redirect(target))
    leads_nowhere = pytest.raises(Unavailable, match=r"leads nowhere|is no URL")
    with leads_nowhere as caught, client.open("HEAD", server.plain):
        pass
    assert "hush" not in str(caught.value)


def test_redirect_that_says_enough_is_not_followed(server, client):
    server.faults.append(redirect("/plain/there"))
    with client.open("HEAD", server.plain, enough=lambda answer: True) as answer:
        assert answer.status == 307
    assert len(server.seen) == 1


def test_conversation_that_breaks_is_lost(nobody, client):
    with pytest.raises(Lost, match="cannot be reached"), client.open("HEAD", nobody):
        pass


# --- the body without a detour -------------------------------------------------------------------


@pytest.fixture
def buffer():
    return memoryview(bytearray(100_000))


def joined(answer, buffer):
    return b"".join(bytes(piece) for piece in answer.pieces(buffer))


def test_body_of_known_length_comes_in_the_buffer(server, client, buffer, content):
    with client.open("GET", server.plain) as answer:
        pieces = answer.pieces(buffer)
        got = bytes(next(pieces))
        for piece in pieces:
            assert piece.obj is buffer.obj
            got += piece
    assert got == content
    # What is left on the connection belongs to nobody, and the next answer is the next one.
    with client.open("GET", server.plain) as answer:
        assert joined(answer, buffer) == content


def test_body_of_unknown_length_comes_as_it_can(server, client, buffer, content):
    server.faults.append(Fault(headers={"Content-Length": None}))
    with client.open("GET", server.plain) as answer:
        assert joined(answer, buffer) == content


def test_body_in_chunks_comes_without_their_borders(server, client, buffer, content):
    pieces = (content[:70_000], content[70_000:])
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    headers = {"Content-Length": None, "Transfer-Encoding": "chunked"}
    server.faults.append(Fault(body=body, headers=headers))
    with client.open("GET", server.plain) as answer:
        assert joined(answer, buffer) == content


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_body_that_breaks_off_is_lost(server, client, buffer, end):
    server.faults.append(Fault(after=1_000_000, end=end))
    with client.open("GET", server.plain) as answer, pytest.raises(Lost):
        joined(answer, buffer)


def test_silence_in_the_body_is_limited(server, buffer):
    server.faults.append(Fault(after=1_000_000, end="stall"))
    silent = pytest.raises(Lost, match="silent for too long")
    with http.Http(timeout=0.3) as client, client.open("GET", server.plain) as answer, silent:
        joined(answer, buffer)


def test_reader_that_waits_can_be_woken(server, buffer):
    server.faults.append(Fault(after=1_000_000, end="stall"))
    with http.Http(timeout=60) as client, client.open("GET", server.plain) as answer:
        waker = threading.Timer(0.3, answer.abort)
        waker.start()
        started = time.monotonic()
        with pytest.raises(Lost):
            joined(answer, buffer)
        assert time.monotonic() - started < 30
        waker.join()


def wait_for_an_answer(client, url):
    started = time.monotonic()
    with pytest.raises(Lost), client.open("GET", url):
        pass
    assert time.monotonic() - started < 30


def test_whoever_waits_for_an_answer_can_be_woken(server):
    with http.Http(timeout=60) as client:
        server.faults.append(Fault(end="mute"))
        waker = threading.Timer(0.3, client.abort)
        waker.start()
        wait_for_an_answer(client, server.plain)
        waker.join()
        # Who was not even connected by then does not wait either.
        server.faults.append(Fault(end="mute"))
        wait_for_an_answer(client, server.plain)
        client.renew()
        with client.open("HEAD", server.plain) as answer:
            assert answer.status == 200


@pytest.fixture
def encrypted(server, tmp_path):
    """The server behind TLS: its address, and a client that trusts it."""
    names = ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    san = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *kind, *names, *san]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _peer = listener.accept()
        wrapped = context.wrap_socket(connection, server_side=True)
        with wrapped, wrapped.makefile("rb") as stream:
            server._answer(wrapped, server._read(stream))
            server.resumed.wait(10)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with httpx.Client(verify=trusted, trust_env=False, timeout=30) as client, listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/plain/x.gguf"
        with client.stream("GET", url) as response:
            yield http.Answer(response, url, redirected=False)
    server.resumed.set()
    thread.join(10)


def test_body_behind_tls_comes_in_the_buffer_too(encrypted, buffer, content):
    pieces = encrypted.pieces(buffer)
    got, inside = bytes(next(pieces)), 0
    for piece in pieces:
        inside += piece.obj is buffer.obj
        got += piece
    assert got == content
    assert inside > 0


def test_reader_behind_tls_can_be_woken(server, buffer, request):
    server.faults.append(Fault(after=1_000_000, end="stall"))
    answer = request.getfixturevalue("encrypted")
    waker = threading.Timer(0.3, answer.abort)
    waker.start()
    started = time.monotonic()
    with pytest.raises(Lost):
        joined(answer, buffer)
    assert time.monotonic() - started < 9
    waker.join()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"ratelimit": '"resolvers";r=0;t=137'}, 137),
        ({"retry-after": "5", "ratelimit": '"resolvers";r=0;t=137'}, 5),
    ],
)
def test_time_to_come_back(headers, seconds):
    assert http._retry_after(headers) == seconds


def test_time_to_come_back_as_a_date():
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=100)
    said = http._retry_after({"retry-after": email.utils.format_datetime(then, usegmt=True)})
    assert 60 < said <= 100


def test_proxy_that_cannot_be_one_is_named(client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "gopher://me:hush@192.0.2.1")
    no_proxy = pytest.raises(Unavailable, match="proxy that the environment names")
    with no_proxy as caught, client.open("HEAD", "http://192.0.2.2/x"):
        pass
    assert "hush" not in str(caught.value)


def test_date_that_is_none_says_nothing():
    assert http._retry_after({"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"}) is None

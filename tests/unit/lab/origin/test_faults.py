# SPDX-License-Identifier: GPL-3.0-or-later
"""Misbehaviour: exactly what was ordered, as often as it was ordered, and all of it on record."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import multiprocessing
import random
import select
import socket
import time
import typing as t
from pathlib import Path

import httpx
import pytest

from lab.origin.app import create_app
from lab.origin.faults import BadRule, Faults
from lab.origin.seed_hub import FILE, OPEN
from lab.origin.shared import SharedFile
from lab.testing import serve

PATH = "/files/big.bin"
RESOLVE = f"/hf/{OPEN}/resolve/main/{FILE}"
SIZE = 3_000_000


@pytest.fixture
def big(root: Path) -> bytes:
    content = random.Random(1).randbytes(SIZE)
    (root / "files/big.bin").write_bytes(content)
    return content


def order(origin: httpx.Client, action: dict[str, t.Any], **rule: t.Any) -> None:
    answer = origin.post("/_lab/faults", json=[{"action": action, **rule}])
    assert answer.status_code == 200, answer.text


def recorded(origin: httpx.Client, count: int) -> list[dict[str, t.Any]]:
    """The record, once it has as many lines: an answer that breaks off is noted a little later."""
    deadline = time.monotonic() + 10
    while True:
        lines = [json.loads(line) for line in origin.get("/_lab/record").text.splitlines()]
        if len(lines) >= count or time.monotonic() > deadline:
            assert len(lines) == count
            return lines
        time.sleep(0.01)


def download(origin: httpx.Client) -> tuple[bytes, type[BaseException] | None]:
    """The body as far as it comes, and how the connection ends if not in order."""
    address = (origin.base_url.host, origin.base_url.port)
    received = bytearray()
    ended: type[BaseException] | None = None
    with socket.create_connection(t.cast("tuple[str, int]", address), timeout=20) as client:
        client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: lab\r\n\r\n".encode())
        try:
            while piece := client.recv(1 << 16):
                received += piece
        except ConnectionResetError as exc:
            ended = type(exc)
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    assert f"content-length: {SIZE}".encode() in head.lower()
    return body, ended


@pytest.mark.parametrize("after", [0, 1, 65536, 1_234_567, SIZE - 1])
def test_a_cut_is_an_orderly_end_at_the_byte(origin: httpx.Client, big: bytes, after: int) -> None:
    order(origin, {"cut_after": after})
    assert download(origin) == (big[:after], None)
    assert origin.get(PATH).content == big
    first, second = recorded(origin, 2)
    assert (first["fault"], first["bytes"], first["status"]) == ("cut_after", after, 200)
    assert (second["fault"], second["bytes"]) == (None, SIZE)


def test_a_reset_is_a_reset(origin: httpx.Client, big: bytes) -> None:
    order(origin, {"reset_after": 1_000_000})
    assert download(origin) == (big[:1_000_000], ConnectionResetError)
    (line,) = recorded(origin, 1)
    assert (line["fault"], line["bytes"]) == ("reset_after", 1_000_000)


def test_a_stall_ends_with_the_client(origin: httpx.Client, big: bytes) -> None:
    order(origin, {"stall_after": 100_000})
    address = (origin.base_url.host, origin.base_url.port)
    with socket.create_connection(t.cast("tuple[str, int]", address)) as client:
        client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: lab\r\n\r\n".encode())
        received = bytearray()
        while select.select([client], [], [], 0.5)[0]:
            received += client.recv(1 << 16)
    assert received.partition(b"\r\n\r\n")[2] == big[:100_000]
    (line,) = recorded(origin, 1)
    assert (line["fault"], line["bytes"]) == ("stall_after", 100_000)


@pytest.mark.parametrize("kind", ["cut_after", "reset_after", "stall_after"])
def test_what_is_shorter_than_that_is_not_touched(
    origin: httpx.Client, big: bytes, kind: str
) -> None:
    order(origin, {kind: 1000})
    assert origin.get(PATH, headers={"Range": "bytes=0-999"}).content == big[:1000]
    assert origin.head(PATH).status_code == 200
    assert [line["fault"] for line in recorded(origin, 2)] == [None, None]
    assert origin.get("/_lab/faults").json()[0]["fired"] == 0


def test_throttling_holds_for_each_connection(origin: httpx.Client, big: bytes) -> None:
    order(origin, {"throttle": 400_000}, count=None)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(origin.stream("GET", PATH, headers={"Range": "bytes=0-199999"}))
            for _ in range(3)
        ]
        bodies = [client.read() for client in clients]
    assert bodies == [big[:200_000]] * 3
    # Half a second each, at the same time; in a row it would be one and a half.
    assert time.monotonic() - began >= 0.45
    assert [line["fault"] for line in recorded(origin, 3)] == ["throttle"] * 3


def test_a_throttled_answer_can_be_cut_too(origin: httpx.Client, big: bytes) -> None:
    order(origin, {"throttle": 10_000_000})
    order(origin, {"cut_after": 70_000})
    assert download(origin) == (big[:70_000], None)
    assert recorded(origin, 1)[0]["fault"] == "cut_after+throttle"


def test_ranges_that_are_not_heeded(origin: httpx.Client, big: bytes) -> None:
    wanted = {"Range": "bytes=10-19"}
    order(origin, {"ignore_range": True})
    order(origin, {"wrong_content_range": "start"})
    order(origin, {"wrong_content_range": "total"})
    assert origin.get(PATH).content == big
    whole = origin.get(PATH, headers=wanted)
    assert (whole.status_code, whole.content) == (200, big)
    shifted = origin.get(PATH, headers=wanted)
    assert (shifted.status_code, shifted.content) == (206, big[11:20])
    assert shifted.headers["content-range"] == f"bytes 11-19/{SIZE}"
    larger = origin.get(PATH, headers=wanted)
    assert (larger.status_code, larger.content) == (206, big[10:20])
    assert larger.headers["content-range"] == f"bytes 10-19/{SIZE + 1}"
    assert origin.get(PATH, headers=wanted).headers["content-range"] == f"bytes 10-19/{SIZE}"
    assert [line["fault"] for line in recorded(origin, 5)] == [
        None, "ignore_range", "wrong_content_range", "wrong_content_range", None,
    ]  # fmt: skip


@pytest.mark.parametrize("same_size", [True, False])
def test_a_file_that_changes(origin: httpx.Client, big: bytes, same_size: bool) -> None:
    before = origin.get(PATH, headers={"Range": "bytes=0-0"})
    order(origin, {"change_file": {"same_size": same_size}}, count=None)
    changed = origin.get(PATH)
    assert (len(changed.content) == SIZE) is same_size
    assert all(a != b for a, b in zip(changed.content[::997], big[::997], strict=False))
    assert changed.headers["etag"] != before.headers["etag"]
    assert changed.headers["last-modified"] != before.headers["last-modified"]
    resume = {"Range": "bytes=100-", "If-Range": before.headers["etag"]}
    assert origin.get(PATH, headers=resume).status_code == 200
    tail = origin.get(PATH, headers={"Range": "bytes=-2000", "If-Range": changed.headers["etag"]})
    assert (tail.status_code, tail.content) == (206, changed.content[-2000:])
    origin.delete("/_lab/faults")
    assert origin.get(PATH).content == big


@pytest.mark.parametrize("same_size", [True, False])
def test_a_branch_that_moves_on(origin: httpx.Client, same_size: bool) -> None:
    old = origin.head(RESOLVE).headers
    order(origin, {"change_file": {"same_size": same_size}}, match={"path": RESOLVE}, count=None)
    new = origin.head(RESOLVE).headers
    for name in ("x-repo-commit", "x-linked-etag", "location"):
        assert new[name] != old[name]
    assert (new["x-linked-size"] == old["x-linked-size"]) is same_size
    # Both commits stay what they are, for the hub and for its CDN.
    for headers in (old, new):
        pinned = origin.head(RESOLVE.replace("/main/", f"/{headers['x-repo-commit']}/")).headers
        assert pinned["x-linked-etag"] == headers["x-linked-etag"]
        body = origin.get(headers["location"]).content
        assert f'"{hashlib.sha256(body).hexdigest()}"' == headers["x-linked-etag"]


def test_statuses_replace_the_answer(origin: httpx.Client, big: bytes) -> None:
    order(origin, {"status": {"code": 429, "headers": {"Retry-After": 1}}})
    order(origin, {"status": 503}, match={"method": "HEAD"})
    busy = origin.get(PATH)
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
    assert origin.get(PATH).content == big
    assert origin.head(PATH).status_code == 503
    assert [line["fault"] for line in recorded(origin, 3)] == ["status", None, "status"]


def test_a_page_instead_of_the_file(origin: httpx.Client, big: bytes) -> None:
    order(origin, {"html": True})
    page = origin.get(PATH, headers={"Range": "bytes=5-"})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("how", "accepted", "strikes"),
    [(True, "identity", True), ("if accepted", "identity", False), ("if accepted", "gzip", True)],
)
def test_compression(
    origin: httpx.Client, big: bytes, how: object, accepted: str, strikes: bool
) -> None:
    order(origin, {"gzip": how})
    headers = {"Range": "bytes=5-", "Accept-Encoding": accepted}
    answer = origin.get(PATH, headers=headers)
    assert answer.content == (big if strikes else big[5:])
    assert answer.status_code == (200 if strikes else 206)
    assert ("content-range" in answer.headers) is not strikes
    assert (answer.headers.get("content-encoding") == "gzip") is strikes


def test_urls_expire_at_either_end(origin: httpx.Client) -> None:
    order(origin, {"expire": True}, match={"role": "cdn"})
    location = origin.head(RESOLVE).headers["location"]
    assert [origin.get(location).status_code for _ in range(2)] == [403, 200]
    order(origin, {"expire": True}, match={"role": "origin"})
    assert origin.get(origin.head(RESOLVE).headers["location"]).status_code == 403
    assert origin.get(origin.head(RESOLVE).headers["location"]).status_code == 200
    faults = [line["fault"] for line in recorded(origin, 7)]
    assert faults == [None, "expire", None, "expire", None, None, None]


def test_rules_strike_what_they_match(origin: httpx.Client, big: bytes) -> None:
    order(origin, {"status": 503}, match={"path": "*.gguf", "method": "GET"}, count=2)
    assert origin.get(PATH).status_code == 200
    assert origin.head(RESOLVE).status_code == 302
    assert [origin.get(RESOLVE).status_code for _ in range(3)] == [503, 503, 302]
    (rule,) = origin.get("/_lab/faults").json()
    assert rule == {
        "match": {"path": "*.gguf", "method": "GET"}, "count": 2, "fired": 2,
        "action": {"status": {"code": 503, "headers": {}}},
    }  # fmt: skip
    assert origin.delete("/_lab/faults").json() == []


def test_both_hosts_hold_to_the_same_rules(root: Path) -> None:
    with (
        serve(create_app(root, role="cdn")) as cdn,
        serve(create_app(root, cdn_host=httpx.URL(cdn).netloc.decode(), role="origin")) as base,
        httpx.Client(base_url=base, trust_env=False) as client,
    ):
        order(client, {"status": 403}, match={"role": "cdn"})
        location = client.head(RESOLVE).headers["location"]
        assert [client.get(location).status_code for _ in range(2)] == [403, 200]
        assert httpx.get(f"{cdn}/_lab/faults", trust_env=False).json()[0]["fired"] == 1
        assert [line["fault"] for line in recorded(client, 3)] == [None, "status", None]


@pytest.mark.parametrize(
    "rules",
    [
        None,
        {},
        ["x"],
        [{}],
        [{"action": {}}],
        [{"action": {"cut_after": 1, "throttle": 1}}],
        [{"action": {"explode": True}}],
        [{"action": {"cut_after": -1}}],
        [{"action": {"cut_after": True}}],
        [{"action": {"throttle": 0}}],
        [{"action": {"status": 200}}],
        [{"action": {"status": {"code": 503, "headers": {"Content-Length": "1"}}}}],
        [{"action": {"change_file": True}}],
        [{"action": {"wrong_content_range": "end"}}],
        [{"action": {"html": False}}],
        [{"action": {"html": True}, "count": 0}],
        [{"action": {"html": True}, "times": 1}],
        [{"action": {"html": True}, "match": {"role": "mirror"}}],
        [{"action": {"html": True}, "match": {"url": "*"}}],
        [{"action": {"html": True}}, {"action": {"html": 1}}],
    ],
)
def test_rules_that_make_no_sense_are_refused_whole(tmp_path: Path, rules: object) -> None:
    faults = Faults(SharedFile(tmp_path / "faults.json", []))
    with pytest.raises(BadRule, match="rule"):
        faults.add(rules)
    assert faults.list() == []


def test_a_refused_rule_is_explained(origin: httpx.Client) -> None:
    answer = origin.post("/_lab/faults", json=[{"action": {"explode": True}}])
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("rule 1, action: explode is not known, only [")
    assert origin.post("/_lab/faults", content=b"{").status_code == 400


def strike_many(path: str) -> int:
    faults = Faults(SharedFile(Path(path), []))
    scope = {"method": "GET", "path": "/x"}
    return sum(faults.take("html", scope, lambda _: True) is True for _ in range(60))


def test_processes_never_strike_too_often(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    Faults(SharedFile(path, [])).add([{"action": {"html": True}, "count": 70}])
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert sum(pool.map(strike_many, [str(path)] * 2)) == 70

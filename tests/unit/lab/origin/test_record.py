# SPDX-License-Identifier: GPL-3.0-or-later
"""The record is what other tests believe, so it must be right."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import socket
import time
import typing as t
from pathlib import Path

import httpx

from lab.origin.record import Recorder


def lines(origin: httpx.Client, since: int = 0) -> list[dict[str, t.Any]]:
    text = origin.get("/_lab/record", params={"since": since}).text
    return [json.loads(line) for line in text.splitlines()]


def test_every_request_but_the_labs_own(origin: httpx.Client, root: Path) -> None:
    (root / "files/a.txt").write_text("hello")
    assert origin.get("/_lab/health").json()["status"] == "ok"
    origin.get("/files/a.txt?x=1", headers={"Range": "bytes=1-2", "User-Agent": "me"})
    origin.head("/files/a.txt")
    origin.get("/apt/nope")
    first, second, third = lines(origin)
    expected = {
        "n": 0, "service": "files", "method": "GET", "path": "/files/a.txt", "query": "x=1",
        "client": "127.0.0.1", "range": "bytes=1-2", "status": 206, "bytes": 2, "user_agent": "me",
        "if_range": None, "authorization": False, "fault": None,
    }  # fmt: skip
    assert {key: first[key] for key in expected} == expected
    assert (second["method"], second["bytes"], second["range"]) == ("HEAD", 0, None)
    assert (third["service"], third["status"]) == ("apt", 404)


def test_mark_and_since(origin: httpx.Client) -> None:
    assert origin.get("/_lab/record/mark").json() == {"next": 0}
    origin.get("/files/one")
    mark = origin.get("/_lab/record/mark").json()["next"]
    assert lines(origin, mark) == []
    origin.get("/files/two")
    (line,) = lines(origin, mark)
    assert (line["n"], line["path"]) == (mark, "/files/two")
    assert origin.get("/_lab/record", params={"since": "x"}).status_code == 400


def test_bytes_of_a_client_that_hangs_up(origin: httpx.Client, root: Path) -> None:
    size = 64 << 20
    with (root / "files/big").open("wb") as file:
        file.truncate(size)
    address = (origin.base_url.host, origin.base_url.port)
    with socket.create_connection(t.cast("tuple[str, int]", address)) as client:
        client.sendall(b"GET /files/big HTTP/1.1\r\nHost: lab\r\n\r\n")
        got = 0
        while got < 1 << 20:
            got += len(client.recv(1 << 16))
    deadline = time.monotonic() + 10
    while not (recorded := lines(origin)) and time.monotonic() < deadline:
        time.sleep(0.01)
    (line,) = recorded
    assert (line["status"], line["path"]) == (200, "/files/big")
    assert 1 << 19 < line["bytes"] < size


def append_many(path: str) -> None:
    for number in range(200):
        Recorder(Path(path)).append({"path": f"/files/{number}" * 20})


def test_two_processes_write_one_record(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(append_many, [str(path)] * 2))
    raw = path.read_bytes()
    numbers = [json.loads(line)["n"] for line in raw.splitlines()]
    assert len(numbers) == 400
    assert numbers == sorted(set(numbers))
    assert all(raw[n - 1 : n] == b"\n" for n in numbers[1:])


def test_a_half_written_line_is_not_shown(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "record.jsonl")
    assert (recorder.mark(), recorder.since(0)) == (0, b"")
    recorder.append({"path": "/"})
    whole = recorder.path.read_bytes()
    recorder.path.write_bytes(whole + b'{"n": 12')
    assert recorder.since(0) == whole

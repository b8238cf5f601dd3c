# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a remote file, and what is fetched for that."""

from __future__ import annotations

import itertools
import os

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import beginning, errors
from ansible_collections.edgellm.host.plugins.module_utils.download.beginning import Beginning
from ansible_collections.edgellm.host.plugins.module_utils.download.http import Http
from ansible_collections.edgellm.host.plugins.module_utils.download.patience import Patience
from ansible_collections.edgellm.host.plugins.module_utils.download.resolve import Remote

from tests.unit.file_server import Fault, FileServer

SIZE = 10_000
CONTENT = os.urandom(SIZE)
# Whole for those who trust it, and not to be taken for a connection that can be used again.
SHORT = {"Content-Length": "50", "Connection": "close"}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(beginning, "LEAST", 100)
    monkeypatch.setattr(beginning, "MOST", 1000)
    with FileServer(CONTENT).running() as server:
        yield server


@pytest.fixture
def begin(server):
    """The file's beginning; its source has said that the file has this size."""
    with Http(timeout=5) as http:
        patience = Patience(1, sleep=lambda _seconds: None)
        yield lambda size=SIZE: Beginning(http, Remote(server.plain, size), patience)


def read(file, size):
    pieces = b""
    while len(pieces) < size and (piece := file.read(size - len(pieces))):
        pieces += piece
    return pieces


def test_each_request_asks_for_as_much_as_all_before_it(begin, server):
    file = begin()
    assert read(file, 5000) == CONTENT[:5000]
    ends = [0, 100, 200, 400, 800, 1600, 2600, 3600, 4600, 5600]
    spans = [f"bytes={first}-{end - 1}" for first, end in itertools.pairwise(ends)]
    # What the reader wants is asked for at once if it is more.
    assert server.requests()[0].range == "bytes=0-4999"
    server.seen.clear()
    file = begin()
    assert b"".join(file.read(1) for _ in range(4700)) == CONTENT[:4700]
    assert [seen.range for seen in server.requests()] == spans
    assert file.fetched == 5600


@pytest.mark.parametrize("size", [SIZE, None])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("length", [True, False])
def test_end_of_the_file_is_found(begin, server, size, ranges, length):
    server.ranges = ranges
    if not length and not ranges:
        server.faults.extend([Fault(headers={"Content-Length": None})] * 20)
    file = begin(size)
    assert read(file, 20_000) == CONTENT
    assert file.read(1) == b""
    assert file.size == SIZE


def test_nothing_is_asked_for_behind_the_end(begin, server):
    file = begin()
    read(file, 20_000)
    assert server.requests()[-1].range == "bytes=0-9999"


# Said to be closed: else the next request may meet the closing of the connection.
SHORT = {"Content-Length": "50", "Connection": "close"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(shift=1), "was asked for bytes from 0 and sends bytes 1-"),
        (Fault(headers={"Content-Range": None}), "sends nothing"),
        (Fault(headers={"Content-Range": "bytes 0-99/100"}), "has 100 bytes now, and had 10000"),
        (Fault(after=10, end="cut"), "failed"),
        (Fault(body=CONTENT[:50]), "has 50 bytes now, and had 10000"),
        (Fault(headers=SHORT, after=50, end="cut"), "ended 50 bytes too early"),
        (Fault(status=503), "answers 503"),
    ],
    ids=["shifted", "no part", "other size", "cut", "other file", "short", "busy"],
)
def test_wrong_answer_is_refused_and_asked_for_again(begin, server, fault, said):
    server.faults.append(fault)
    assert begin().read(100) == CONTENT[:100]
    server.faults.extend([fault, fault])
    with pytest.raises(errors.DownloadError) as caught:
        begin().read(100)
    assert said in str(caught.value)

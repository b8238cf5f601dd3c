# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from lab.errors import LabError
from lab.record import Mark, answered, merge, registry_lines

PULL = {
    "http.request.host": "198.18.77.4:5000",
    "http.request.method": "GET",
    "http.request.remoteaddr": "198.18.77.11:50422",
    "http.request.uri": "/v2/ollama/ollama/blobs/sha256:ab?ns=docker.io",
    "http.request.useragent": "docker/26.1.5",
    "http.response.status": 200,
    "http.response.written": 65386173,
    "level": "info",
    "msg": "response completed",
    "time": "2026-11-23T19:47:28.178555187Z",
}


def line(time: str, agent: str = "curl/8") -> dict[str, object]:
    return {"time": time, "user_agent": agent}


def test_only_answers_are_read_from_the_registrys_log() -> None:
    start = {"level": "info", "msg": "listening on [::]:5000", "time": "2026-11-23T19:47:00Z"}
    log = ["time=x level=warn no json", json.dumps(start), json.dumps(PULL)]
    assert answered(log) == [PULL]


def test_an_answer_becomes_a_line_like_the_origins() -> None:
    assert registry_lines([PULL]) == [
        {
            "n": 0,
            "time": "2026-11-23T19:47:28.178555187Z",
            "service": "docker-registry",
            "host": "198.18.77.4:5000",
            "client": "198.18.77.11",
            "method": "GET",
            "path": "/v2/ollama/ollama/blobs/sha256:ab",
            "range": None,
            "status": 200,
            "bytes": 65386173,
            "user_agent": "docker/26.1.5",
        }
    ]


def test_a_head_request_fetches_nothing() -> None:
    head = {**PULL, "http.request.method": "HEAD", "http.response.written": 528}
    assert registry_lines([head])[0]["bytes"] == 0


def test_records_are_merged_by_time_whatever_the_spelling_of_utc() -> None:
    origin = [line("2026-11-23T19:00:01.5+00:00"), line("2026-11-23T19:00:03+00:00")]
    registry = [line("2026-11-23T19:00:02.123456789Z")]
    times = [str(entry["time"])[17:19] for entry in merge(origin, registry)]
    assert times == ["01", "02", "03"]


def test_what_the_lab_asks_itself_is_no_evidence() -> None:
    assert merge([line("1", "edgellm-lab"), line("2", "docker/26")]) == [line("2", "docker/26")]


def test_a_mark_survives_being_written_down() -> None:
    assert Mark.parse(str(Mark(origin=2725, registry=23))) == Mark(2725, 23)


@pytest.mark.parametrize("text", ["", "12", "1.2.3", "a.b"])
def test_what_is_no_mark_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="lab record --mark"):
        Mark.parse(text)

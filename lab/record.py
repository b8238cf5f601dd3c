# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of everything that was asked of the stand-in internet: the tests' witness."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lab import services, sh
from lab.errors import LabError
from lab.names import ADDRESSES, ORIGIN, REGISTRY

_WRITTEN = "http.response.written"
_ORIGIN_RECORD = f"http://{ADDRESSES[ORIGIN]}/_lab/record"


@dataclass(frozen=True)
class Mark:
    """A point in both records: how many lines each service had written."""

    origin: int = 0
    registry: int = 0

    @classmethod
    def parse(cls, text: str) -> Mark:
        try:
            origin, registry = text.split(".")
            return cls(int(origin), int(registry))
        except ValueError:
            raise LabError(
                f"{text}: not a mark; `python -m lab record --mark` prints one"
            ) from None

    def __str__(self) -> str:
        return f"{self.origin}.{self.registry}"


def mark() -> Mark:
    _status, _headers, body = services.get(f"{_ORIGIN_RECORD}/mark")
    return Mark(int(json.loads(body)["next"]), len(_registry_log()))


def since(start: Mark) -> list[dict[str, Any]]:
    """Every request after the mark, of all services, in the order of time."""
    _status, _headers, body = services.get(f"{_ORIGIN_RECORD}?since={start.origin}")
    origin = [json.loads(line) for line in body.splitlines()]
    return merge(origin, registry_lines(_registry_log())[start.registry :])


def merge(*records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    lines = [line for record in records for line in record]
    return sorted((line for line in lines if not _own(line)), key=lambda line: str(line["time"]))


def registry_lines(log: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """docker-registry's access log in the form of the origin's record."""
    return [
        {
            "n": n,
            "time": line["time"],
            "service": "docker-registry",
            "host": line.get("http.request.host"),
            "client": str(line.get("http.request.remoteaddr", "")).rpartition(":")[0],
            "method": line.get("http.request.method"),
            "path": urlsplit(line.get("http.request.uri", "")).path,
            "range": None,
            "status": line.get("http.response.status"),
            # The registry counts what a HEAD would have sent.
            "bytes": 0 if line.get("http.request.method") == "HEAD" else line.get(_WRITTEN, 0),
            "user_agent": line.get("http.request.useragent"),
        }
        for n, line in enumerate(log)
    ]


def answered(log: Iterable[str]) -> list[dict[str, Any]]:
    """The lines of docker-registry's log that say that an answer was sent."""
    lines = (json.loads(line) for line in log if line.startswith("{"))
    return [line for line in lines if "http.response.status" in line]


def _registry_log() -> list[dict[str, Any]]:
    done = sh.capture(["docker", "logs", REGISTRY])
    return answered((done.stdout + done.stderr).splitlines())


def _own(line: dict[str, Any]) -> bool:
    return str(line.get("user_agent") or "").startswith(services.USER_AGENT)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line needs of a client: JSON and NDJSON over stdlib HTTP."""

from __future__ import annotations

import http.client
import json
import typing as t
from pathlib import Path

from lab.ollama.settings import parse_host

NOT_CONNECTED = "could not connect to ollama server, run 'ollama serve' to start it"


class ClientError(Exception):
    """The server said no, or was not there."""


class Client:
    """Requests to the server that OLLAMA_HOST names."""

    def __init__(self, host: str) -> None:
        address, self.port, self.scheme = parse_host(host)
        # One listens on every address but connects to one.
        self.host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)

    def get(self, path: str) -> dict[str, t.Any]:
        return next(iter(self._request("GET", path, None)), {})

    def call(self, method: str, path: str, body: dict[str, t.Any]) -> dict[str, t.Any]:
        """Send one request and return the last object of the answer."""
        last: dict[str, t.Any] = {}
        for item in self.stream(method, path, body):
            last = item
        return last

    def upload(self, digest: str, path: Path) -> None:
        """Have the file in the server's store, under its digest."""
        url = f"/api/blobs/{digest}"
        try:
            list(self._request("HEAD", url, None))
        except ClientError:
            with path.open("rb") as file:
                list(self._request("POST", url, file))

    def stream(
        self, method: str, path: str, body: dict[str, t.Any]
    ) -> t.Iterator[dict[str, t.Any]]:
        """Send one request and yield the objects of its answer."""
        yield from self._request(method, path, json.dumps(body).encode())

    def _request(
        self, method: str, path: str, body: bytes | t.BinaryIO | None
    ) -> t.Iterator[dict[str, t.Any]]:
        kind = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=600)
        try:
            try:
                connection.request(method, path, body)
                response = connection.getresponse()
            except OSError:
                raise ClientError(NOT_CONNECTED) from None
            for line in response:
                if not line.strip():
                    continue
                item = json.loads(line)
                if "error" in item:
                    raise ClientError(item["error"])
                yield item
            if response.status >= 400:
                raise ClientError(f"{response.status} {response.reason}")
        finally:
            connection.close()

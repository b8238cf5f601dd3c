# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama's HTTP API; the only file that knows its URLs. Private."""

from __future__ import annotations

import dataclasses
import json
import types
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils import web
from ansible_collections.edgellm.host.plugins.module_utils.web import httpx

from . import names
from .errors import ApiError, NotFound, NotOllama, OllamaError, Silent, StreamCut, Unreachable
from .remedies import remedy

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

JsonObject = dict[str, t.Any]

_KEPT = "What was fetched is kept: run it again."
_AGAIN = "Run it again."
# What to do when one of these is broken off.
_AFTERWARDS = {"pull": f" {_KEPT}", "create": f" {_AGAIN}", "blobs": f" {_AGAIN}"}


@dataclasses.dataclass(frozen=True)
class Installed:
    """A model as the server lists it."""

    name: names.Name
    digest: str
    size: int
    modified_at: str = ""
    details: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    capabilities: tuple[str, ...] | None = None


class Client:
    """A connection to one server. Every failure is an OllamaError that names the URL."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._http = web.open_client(self.url, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._http.close()

    def version(self) -> str:
        version = self._ask("GET", "/api/version").get("version")
        if not isinstance(version, str):
            raise NotOllama(f"What answers at {self.url} does not tell a version as Ollama does.")
        return version

    def tags(self) -> list[Installed]:
        """Every installed model."""
        return [_installed(entry) for entry in _models(self._ask("GET", "/api/tags"))]

    def find(self, name: names.Name) -> Installed | None:
        """The installed model of that name, whatever the spelling of its letters."""
        return next((model for model in self.tags() if model.name.key == name.key), None)

    def show(self, name: names.Name) -> JsonObject:
        return self._ask("POST", "/api/show", {"model": name.short})

    def running(self) -> list[JsonObject]:
        """What is loaded in memory now."""
        return _models(self._ask("GET", "/api/ps"))

    def has_blob(self, digest: str) -> bool:
        path = f"/api/blobs/{digest}"
        try:
            self._send("HEAD", path)
        except NotFound:
            return False
        return True

    def pull(
        self, name: names.Name, *, insecure: bool, patience: float = 0.0
    ) -> Iterator[JsonObject]:
        """Progress lines of a pull; it succeeded when the iteration ends without an error.

        Patience is added to the timeout: while the server hashes what it fetched, it is silent.
        """
        body = {"model": name.short, "insecure": insecure, "stream": True}
        last: JsonObject = {}
        for last in self._stream("/api/pull", body, timeout=self.timeout + patience):
            yield last
        if last.get("status") != "success":
            raise StreamCut(
                f"The pull of {name.short} ended without success; the last word of {self.url} was "
                f"{json.dumps(last, ensure_ascii=False)}. {_KEPT}"
            )

    def upload(self, digest: str, content: Iterable[bytes], size: int) -> None:
        """Send a blob; the server refuses what does not have the digest."""
        # With a length, so that a file that changes meanwhile is not taken for the whole.
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self._send("POST", f"/api/blobs/{digest}", content=content, headers=headers)

    def create(self, body: JsonObject, *, patience: float = 0.0) -> Iterator[JsonObject]:
        """Progress lines of a create; it succeeded when the iteration ends without an error."""
        last: JsonObject = {}
        timeout = self.timeout + patience
        for last in self._stream("/api/create", {**body, "stream": True}, timeout=timeout):
            yield last
        if last.get("status") != "success":
            raise StreamCut(
                f"The creation of {body['model']} ended without success; the last word of "
                f"{self.url} was {json.dumps(last, ensure_ascii=False)}. {_AGAIN}"
            )

    def copy(self, source: names.Name, destination: names.Name) -> None:
        body = {"source": source.short, "destination": destination.short}
        self._send("POST", "/api/copy", body)

    def delete(self, name: names.Name) -> None:
        self._send("DELETE", "/api/delete", {"model": name.short})

    def unload(self, name: names.Name) -> None:
        """Take the model out of memory; one that is not loaded stays so."""
        self._send("POST", "/api/generate", {"model": name.short, "keep_alive": 0})

    def chat(self, body: JsonObject) -> Iterator[JsonObject]:
        """Pieces of one chat answer; the last one has done=true and the measurements."""
        return self._answer("/api/chat", body)

    def generate(self, body: JsonObject) -> Iterator[JsonObject]:
        """Pieces of one completion of a prompt; the last one as in a chat."""
        return self._answer("/api/generate", body)

    def embed(self, body: JsonObject) -> JsonObject:
        return self._ask("POST", "/api/embed", body)

    def _answer(self, path: str, body: JsonObject) -> Iterator[JsonObject]:
        done = False
        for piece in self._stream(path, {**body, "stream": True}, timeout=self.timeout):
            done = piece.get("done") is True
            yield piece
        if not done:
            raise StreamCut(f"The answer of {body['model']} at {self.url} was cut off.")

    def _ask(self, method: str, path: str, body: JsonObject | None = None) -> JsonObject:
        response = self._send(method, path, body)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise NotOllama(
                f"What answers at {self.url}{path} is not Ollama: instead of a JSON object it "
                f"sent {response.headers.get('content-type', 'no content type')}."
            )
        return answer

    def _send(
        self, method: str, path: str, body: JsonObject | None = None, **request: t.Any
    ) -> httpx.Response:
        try:
            response = self._http.request(method, path, json=body, **request)
        except httpx.HTTPError as error:
            raise self._lost(path, error, self.timeout) from error
        if not response.is_success:
            raise self._failure(path, response)
        return response

    def _stream(self, path: str, body: JsonObject, *, timeout: float) -> Iterator[JsonObject]:
        limit = web.idle_timeout(timeout)
        try:
            with self._http.stream("POST", path, json=body, timeout=limit) as response:
                if not response.is_success:
                    response.read()
                    raise self._failure(path, response)
                for line in _lines(response.iter_bytes()):
                    yield self._line(path, line)
        except httpx.HTTPError as error:
            raise self._lost(path, error, timeout) from error

    def _line(self, path: str, line: bytes) -> JsonObject:
        try:
            piece = json.loads(line)
        except ValueError:
            piece = None
        if not isinstance(piece, dict):
            raise StreamCut(f"{self.url}{path} sent a broken line: {line[:200]!r}.")
        # Once a stream has begun, the HTTP status is 200 for ever: errors are a line of their own.
        if "error" in piece:
            said = str(piece["error"])
            raise ApiError(f"Ollama at {self.url} says: {said}{remedy(said)}", status=200)
        return piece

    def _failure(self, path: str, response: httpx.Response) -> OllamaError:
        status, text = response.status_code, _error_text(response)
        if status == 403 and not text:
            return ApiError(
                f"Ollama at {self.url} refused the request by its host name (403): a server bound "
                "to loopback answers only to loopback names. Use http://127.0.0.1:<port>.",
                status=status,
            )
        kind = NotFound if status == 404 else ApiError
        return kind(
            f"Ollama at {self.url} says: {text or 'nothing'} (HTTP {status} on {path})"
            f"{remedy(text)}",
            status=status,
        )

    def _lost(self, path: str, error: httpx.HTTPError, timeout: float) -> OllamaError:
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return Unreachable(
                f"Ollama does not answer at {self.url}: {error or type(error).__name__}. "
                "Is the container running? See: edgellm status"
            )
        if isinstance(error, httpx.TimeoutException):
            return Silent(
                f"Ollama at {self.url} sent nothing for {round(timeout, 1):g} s on {path}. "
                "If it is only slow (a large model is loaded, or a registry is far away), "
                f"raise the option timeout.{_afterwards(path)}"
            )
        return StreamCut(
            f"The connection to Ollama at {self.url} broke on {path}: "
            f"{error or type(error).__name__}.{_afterwards(path)} Did the server restart? "
            "See: edgellm logs"
        )


def _afterwards(path: str) -> str:
    return _AFTERWARDS.get(path.split("/")[2], "")


def _lines(chunks: t.Iterable[bytes]) -> Iterator[bytes]:
    # Not httpx's iter_lines: it also splits at U+0085 and U+2028, which JSON strings may contain.
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(bytes.strip, lines)
    if rest.strip():
        yield rest


def _error_text(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return response.text.strip()[:500]
    error = answer.get("error") if isinstance(answer, dict) else None
    return str(error or response.text.strip()[:500])


def _models(answer: JsonObject) -> list[JsonObject]:
    return [entry for entry in answer.get("models") or [] if isinstance(entry, dict)]


def _installed(entry: JsonObject) -> Installed:
    capabilities = entry.get("capabilities")
    return Installed(
        name=names.parse(str(entry.get("name") or entry.get("model"))),
        digest=str(entry.get("digest", "")),
        size=int(entry.get("size", 0)),
        modified_at=str(entry.get("modified_at", "")),
        details=entry.get("details") or {},
        capabilities=tuple(capabilities) if capabilities is not None else None,
    )

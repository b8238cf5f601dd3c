# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redirects are followed by hand, so that no credential crosses to another host. Private."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import functools
import re
import socket
import typing as t
import urllib.parse

from ansible_collections.edgellm.host.plugins.module_utils import web
from ansible_collections.edgellm.host.plugins.module_utils.web import httpx

from .errors import (
    BadRange,
    Busy,
    DownloadError,
    LinkExpired,
    Lost,
    NotTheFile,
    Refused,
    Unavailable,
)
from .source import without_secrets

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)
# Of the connection itself, or of one by way of a proxy.
_CONNECTED = (".connect_tcp.complete", ".start_tls.complete")
_NO_HUB = " Only endpoint gets the token: any other address has user and password before its host."
_QUERY = re.compile(r"\?[^\s'\"<>]+")


class Answer:
    """The last response of a chain of redirects, and what the earlier ones said."""

    def __init__(self, response: httpx.Response, url: str, *, redirected: bool) -> None:
        self._response = response
        self.status: int = response.status_code
        self.headers = response.headers
        self.redirected = redirected
        self.where = without_secrets(url)

    @property
    def length(self) -> int | None:
        """The length of the body, if it is announced."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() else None

    @property
    def etag(self) -> str | None:
        """The strong validator; a weak one says nothing about single bytes."""
        text: str = self.headers.get("etag", "").strip()
        return text if text.startswith('"') else None

    @property
    def is_page(self) -> bool:
        return str(self.headers.get("content-type", "")).lower().startswith("text/html")

    def body(self) -> Iterator[bytes]:
        """The bytes as they come; Lost when they stop before the end."""
        with _translated(self.where):
            yield from self._response.iter_raw()

    def pieces(self, buffer: memoryview) -> Iterator[bytes | memoryview]:
        """The body like C(body), with as little in between as possible.

        A piece is good until the next one: most of them are in the buffer.
        """
        body = self.body()
        # This empties what httpx has read already. The rest of a body of known length is on the
        # connection as it is, and the connection is then closed instead of used again.
        first = next(body, b"")
        yield first
        left = (self.length or 0) - len(first)
        plain = self._socket()
        if plain is None or left <= 0:
            yield from body
            return
        while left:
            with _translated(self.where):
                count = plain.recv_into(buffer[:left])
            if not count:
                raise Lost(f"{self.where} ended {left} bytes too early.")
            left -= count
            yield buffer[:count]

    def abort(self) -> None:
        """Wake whoever waits for the body; may be called by another thread."""
        _shut(self._response.extensions.get("network_stream"))

    def _socket(self) -> socket.socket | None:
        """What brings the bytes of the body and nothing else."""
        stream = self._response.extensions.get("network_stream")
        if stream is None or "transfer-encoding" in self.headers:
            return None
        plain: socket.socket | None = stream.get_extra_info("socket")
        # With TLS inside of TLS it is the outer one.
        tls = stream.get_extra_info("ssl_object")
        return plain if tls is getattr(plain, "_sslobj", None) else None

    def refuse_other_content(self) -> None:
        """Raise NotTheFile for what is certainly not the file's own bytes."""
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise NotTheFile(
                f"{self.where} sends the file compressed ({encoding}) although that was declined. "
                "Is a proxy in between?"
            )
        if self.is_page:
            raise NotTheFile(
                f"{self.where} sends a web page (text/html) instead of the file. "
                "Does the link lead to a page, or does a proxy want a login?"
            )

    def failure(self) -> DownloadError:
        """What the status means, for a status that brings no file."""
        status, where = self.status, self.where
        if status in (408, 425, 429) or status >= 500:
            after = _retry_after(self.headers)
            return Busy(f"{where} answers {status}{self._reason()}.", retry_after=after)
        if status == 416:
            return BadRange(f"{where} does not give the rest of the file (416).")
        # The hub says why it refuses; those who only check signatures do not.
        if status == 403 and self.redirected and "x-error-code" not in self.headers:
            return LinkExpired(f"The signed link to {where} is refused (403).")
        said = {
            401: "It is private, gated or does not exist; pass a token of an account that may "
            "read it, and accept its terms with that account."
            + ("" if "x-error-code" in self.headers else _NO_HUB),
            403: "It is not given to this caller: accept its terms, or pass another token.",
            404: "There is no such file: check repo, file and revision, or the URL.",
            410: "It was removed.",
        }.get(status, "That is no file.")
        return Unavailable(f"{where} answers {status}{self._reason()}. {said}", status=status)

    def _reason(self) -> str:
        message = self.headers.get("x-error-message", "")
        return f" ({message[:200].rstrip('.')})" if message else ""


class Http:
    """One client for each host, and the token for one of them alone."""

    def __init__(self, *, timeout: float, token: str | None = None, token_for: str = "") -> None:
        self._timeout = timeout
        self._token = token
        self._token_for = _origin(token_for) if token_for else ""
        self._clients: dict[str, httpx.Client] = {}
        # The last connection to each host, and the host that is being asked.
        self._streams: dict[str, t.Any] = {}
        self._asked = ""
        self._unwanted = False

    def __enter__(self) -> Http:
        return self

    def __exit__(self, *_error: object) -> None:
        for client in self._clients.values():
            client.close()

    def renew(self) -> None:
        """From here on an answer is wanted again."""
        self._unwanted = False

    def abort(self) -> None:
        """Wake whoever waits for an answer, until C(renew); may be called by another thread."""
        self._unwanted = True
        _shut(self._streams.get(self._asked))

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        enough: Callable[[Answer], bool] = lambda _answer: False,
    ) -> Iterator[Answer]:
        """The answer at the end of the redirects, or the first that is enough."""
        redirected = False
        for _hop in range(MAX_REDIRECTS + 1):
            with contextlib.closing(self._send(method, url, headers or {})) as response:
                answer = Answer(response, url, redirected=redirected)
                target = response.headers.get("location")
                if response.status_code not in _REDIRECTS or not target or enough(answer):
                    yield answer
                    return
            url, redirected = _led_to(url, target), True
        raise Unavailable(f"{without_secrets(url)} redirects in a circle.")

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx.Response:
        origin = _origin(url)
        client = self._clients.get(origin)
        if client is None:
            client = self._clients[origin] = self._open_client(origin)
        sent = {"User-Agent": "edgellm.host", "Accept": "*/*", **headers}
        # Compressed, a part of the file is a part of something else.
        sent["Accept-Encoding"] = "identity"
        if self._token and origin == self._token_for:
            sent["Authorization"] = f"Bearer {self._token}"
        with _translated(without_secrets(url)):
            request = client.build_request(method, url, headers=sent)
            request.extensions["trace"] = functools.partial(self._trace, origin)
            self._asked = origin
            return client.send(request, stream=True, follow_redirects=False)

    def _open_client(self, origin: str) -> httpx.Client:
        try:
            return web.open_client(origin, timeout=self._timeout)
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            # httpx hides the password of a proxy when it shows one.
            raise Unavailable(
                f"{origin} cannot be asked with the proxy that the environment names "
                f"(HTTPS_PROXY, HTTP_PROXY, ALL_PROXY): {_hidden(str(error))}"
            ) from error

    def _trace(self, origin: str, event: str, info: Mapping[str, t.Any]) -> None:
        """Keep the connection as soon as there is one: the response comes only with an answer."""
        if event.endswith(_CONNECTED):
            self._streams[origin] = info["return_value"]
            if self._unwanted:
                _shut(info["return_value"])


def _shut(stream: t.Any) -> None:
    plain = stream.get_extra_info("socket") if stream else None
    if plain is not None:
        with contextlib.suppress(OSError):
            # Not what TLS makes of it: that would take the layer away from its reader.
            socket.socket.shutdown(plain, socket.SHUT_RDWR)


def _led_to(url: str, target: str) -> str:
    try:
        return urllib.parse.urljoin(url, target)
    except ValueError as error:
        raise Unavailable(f"{without_secrets(url)} redirects to what is no URL.") from error


def _origin(url: str) -> str:
    try:
        web.host_of(url)
    except Refused as error:
        raise Unavailable(f"A redirect leads nowhere: {_hidden(str(error))}") from error
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as error:
        raise Lost(f"{where} was silent for too long ({type(error).__name__}).") from error
    except httpx.ConnectError as error:
        raise Lost(
            f"{where} cannot be reached: {_hidden(str(error)) or type(error).__name__}. "
            "On a network without it, name another endpoint or url."
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        said = _hidden(str(error)) or type(error).__name__
        raise Lost(f"The connection to {where} failed: {said.rstrip('.')}.") from error


def _hidden(text: str) -> str:
    return _QUERY.sub("?…", text)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from Retry-After in either form or from RateLimit's time to reset."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        then = email.utils.parsedate_to_datetime(text)
        return max((then - datetime.datetime.now(datetime.timezone.utc)).total_seconds(), 0.0)
    reset = re.search(r"\bt=(\d+)", headers.get("ratelimit", ""))
    return float(reset[1]) if reset else None

# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP towards a registry, over stdlib sockets that another thread can cut."""

from __future__ import annotations

import contextlib
import http.client
import platform
import re
import socket
import ssl
import threading
import typing as t
import urllib.parse
from pathlib import Path

from lab.ollama.errors import ApiError
from lab.ollama.store import MANIFEST_TYPE

STALL_SECONDS = 30.0
MAX_REDIRECTS = 10
DIRECT_AGENT = "Go-http-client/1.1"
_REALM = re.compile(r'realm="([^"]*)"')


class NotFound(Exception):
    """The registry answered 404."""


class Cancelled(Exception):
    """The transfer was called off."""


class Cutter:
    """Closes the sockets that are registered with it, at once and from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self.cut = threading.Event()

    @contextlib.contextmanager
    def guard(self, sock: socket.socket) -> t.Iterator[None]:
        """Keep a socket cuttable for the length of the block."""
        with self._lock:
            self._sockets.add(sock)
        try:
            if self.cut.is_set():
                raise Cancelled
            yield
        finally:
            with self._lock:
                self._sockets.discard(sock)

    def now(self) -> None:
        """Cut all of them."""
        self.cut.set()
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


class RegistryClient:
    """The requests a pull makes; one connection each, no proxies."""

    def __init__(self, version: str) -> None:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "unknown")
        self.agent = f"ollama/{version} ({machine} linux) Go/go1.26.0"

    def manifest(self, url: str) -> bytes:
        """Return a manifest's raw bytes."""
        with self.open("GET", url, {"Accept": MANIFEST_TYPE}) as response:
            _check(response, url)
            return response.read()

    def blob_size(self, url: str) -> int:
        """Return the Content-Length of a blob."""
        with self.open("HEAD", url) as response:
            _check(response, url)
            return int(response.headers.get("Content-Length") or 0)

    def direct_url(self, url: str, cutter: Cutter | None = None) -> str:
        """Return where the bytes of a blob are: the first redirect to another host name."""
        host = urllib.parse.urlsplit(url).hostname
        for _hop in range(MAX_REDIRECTS + 1):
            with self.open("GET", url, cutter=cutter) as response:
                _check(response, url)
                location = response.headers.get("Location")
                status = response.status
            target = urllib.parse.urljoin(url, location) if location else None
            same_host = target and urllib.parse.urlsplit(target).hostname == host
            if status in (301, 302, 303, 307, 308) and target and same_host and target != url:
                url = target
                continue
            if status not in (200, 307):
                raise ApiError(f"unexpected status code {status}")
            if target is None:
                raise ApiError("http: no Location header in response")
            return target
        raise ApiError(f'Get "{url}": maximum redirects exceeded (10) for directURL')

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        url: str,
        headers: t.Mapping[str, str] | None = None,
        *,
        cutter: Cutter | None = None,
        agent: str | None = None,
    ) -> t.Iterator[http.client.HTTPResponse]:
        """Send one request and give its response; connection failures read like Go's."""
        parts = urllib.parse.urlsplit(url)
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        sent = {"User-Agent": agent or self.agent, "Accept-Encoding": "identity"}
        cutter = cutter or Cutter()
        connection = _connection(parts)
        with contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            try:
                connection.connect()
                stack.enter_context(cutter.guard(connection.sock))
                connection.request(method, target, headers={**sent, **(headers or {})})
                response = stack.enter_context(connection.getresponse())
            except (OSError, http.client.HTTPException) as error:
                if cutter.cut.is_set():
                    raise Cancelled from None
                raise ApiError(_go_text(method, url, parts, error)) from None
            yield response


def _connection(parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, parts.port, timeout=STALL_SECONDS, context=context)
    return http.client.HTTPConnection(host, parts.port, timeout=STALL_SECONDS)


def _check(response: http.client.HTTPResponse, url: str) -> None:
    if response.status == 404:
        raise NotFound
    if response.status == 401:
        raise ApiError(_unauthorized(response.headers.get("www-authenticate", ""), url))
    if response.status >= 400:
        body = response.read().decode("utf-8", "replace")
        raise ApiError(f"{response.status}: {body}")


def _unauthorized(challenge: str, url: str) -> str:
    match = _REALM.search(challenge)
    realm_host = urllib.parse.urlsplit(match.group(1)).netloc if match else ""
    host = urllib.parse.urlsplit(url).netloc
    if realm_host and realm_host != host:
        return f'realm host "{realm_host}" does not match original host "{host}"'
    return "unauthorized: access denied"


def _resolver() -> str:
    """Name the first name server, as Go does."""
    with contextlib.suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                return f" on {words[1]}:53"
    return ""


def _go_text(method: str, url: str, parts: urllib.parse.SplitResult, error: Exception) -> str:
    port = parts.port or (443 if parts.scheme == "https" else 80)
    where = f"dial tcp {parts.hostname}:{port}: connect: "
    if isinstance(error, socket.gaierror):
        reason = f"dial tcp: lookup {parts.hostname}{_resolver()}: no such host"
    elif isinstance(error, ConnectionRefusedError):
        reason = where + "connection refused"
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"tls: failed to verify certificate: x509: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        plain = error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
        plain_text = "http: server gave HTTP response to HTTPS client"
        reason = plain_text if plain else "tls: handshake failure"
    elif isinstance(error, TimeoutError):
        reason = f"dial tcp {parts.hostname}:{port}: i/o timeout"
    elif isinstance(error, http.client.RemoteDisconnected):
        reason = "EOF"
    elif isinstance(error, OSError) and error.strerror:
        reason = where + error.strerror.lower()
    else:
        reason = str(error)
    return f'{method.capitalize()} "{url}": {reason}'

# SPDX-License-Identifier: GPL-3.0-or-later
"""Files by HTTP on a raw socket, with every misbehaviour a download can meet, and a record."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import re
import secrets
import socket
import struct
import threading
import typing as t

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One misbehaviour, of the next request for a body unless C(method) says otherwise.

    After C(after) bytes of the body: C(cut) closes, C(reset) resets, C(stall) falls silent;
    C(mute) is silent from the start, and C(away) closes instead of an answer.
    C(body) is sent instead of the file, C(surplus) behind it, C(lack) bytes of it are left out, as
    if that were all. A part is C(shift) bytes away from what was asked for, and of a file that is
    said to have C(grown). C(turn) is what the server has from this request on, with its ETag.
    """

    method: str = "GET"
    status: int | None = None
    headers: t.Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    body: bytes | None = None
    after: int = 0
    end: t.Literal["", "cut", "reset", "stall", "mute", "away"] = ""
    surplus: bytes = b""
    ignore_range: bool = False
    shift: int = 0
    lack: int = 0
    grown: int = 0
    chunked: bool = False
    turn: tuple[bytes, str] | None = None


@dataclasses.dataclass
class Seen:
    """One request and what it got."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    connection: int = 0
    status: int = 0
    sent: int = 0
    # Of the whole body.
    length: int = 0
    # The port of whoever asks.
    peer: int = 0

    @property
    def range(self) -> str | None:
        return self.headers.get("range")

    @property
    def start(self) -> int:
        match = re.fullmatch(r"bytes=(\d+)-\d*", self.range or "")
        return int(match[1]) if match else 0


class FileServer:
    """Serves one content: /plain as it is, /hub/<repo>/resolve/<rev>/<file> by a signed link.

    The link leads to C(cdn), another server, or to this one; a link is good for one request.
    Paths that end in a name of C(files) have a content of their own.
    """

    def __init__(self, content: bytes, *, etag: str | None = '"one"', token: str = "") -> None:
        self.content = content
        self.files: dict[str, bytes] = {}
        self.etag = etag
        self.token = token
        self.cdn: FileServer = self
        self.states_sha256 = True
        self.ranges = True
        self.honours_if_range = True
        # What it says of the size when nobody has asked for the bytes yet.
        self.claimed: int | None = None
        self.faults: collections.deque[Fault] = collections.deque()
        self.seen: list[Seen] = []
        self.links: set[str] = set()
        self.pause_at: int | None = None
        self.paused = threading.Event()
        self.resumed = threading.Event()
        self._stopping = False
        self._faulting = threading.Lock()
        self._open: set[socket.socket] = set()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def plain(self) -> str:
        return f"{self.url}/plain/x.gguf"

    @property
    def endpoint(self) -> str:
        return f"{self.url}/hub"

    def requests(self, method: str = "GET") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and seen.status != 302]

    @property
    def sent(self) -> int:
        return sum(seen.sent for seen in self.requests())

    def pause_when(self, position: int) -> None:
        """Fall silent when a body has come this far into the file, until told to go on."""
        self.pause_at = position
        self.paused.clear()
        self.resumed.clear()

    # --- life --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def running(self, host: str = "127.0.0.1"):
        self._listener = socket.create_server((host, 0))
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopping = True
            self.resumed.set()
            # Closing alone does not wake a thread that is waiting in accept.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            for connection in list(self._open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while request := self._read(stream):
                request.connection = connection.fileno()
                request.peer = connection.getpeername()[1]
                self.seen.append(request)
                if not self._answer(connection, request):
                    break
        self._open.discard(connection)

    def _read(self, stream) -> Seen | None:
        line = stream.readline().decode("latin-1").split()
        if not line:
            return None
        headers = {}
        while (field := stream.readline().decode("latin-1").strip()) != "":
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        path, _, query = line[1].partition("?")
        return Seen(line[0], path, query, headers)

    # --- answers -----------------------------------------------------------------------------

    def _answer(self, connection: socket.socket, seen: Seen) -> bool:
        if seen.path.startswith("/hub/"):
            return self._hub(connection, seen)
        if seen.path.startswith("/signed/"):
            if seen.query not in self.links:
                return self._send(connection, seen, 403, {}, b"expired")
            self.links.discard(seen.query)
        return self._file(connection, seen)

    def _hub(self, connection: socket.socket, seen: Seen) -> bool:
        if self.token and seen.headers.get("authorization") != f"Bearer {self.token}":
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"}
            return self._send(connection, seen, 401, headers, b"")
        fault = self._fault(seen.method if seen.method == "HEAD" else "HUB")
        if fault and fault.status:
            return self._send(connection, seen, fault.status, fault.headers, fault.body or b"")
        name = seen.path.rpartition("/")[2]
        content = self._content(name)
        link = f"Expires=1&Signature={secrets.token_hex(8)}"
        self.cdn.links.add(link)
        headers: dict[str, str | None] = {
            "Location": f"{self.cdn.url}/signed/{name if name in self.files else 'x'}?{link}",
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(self.claimed or len(content)),
        }
        if self.states_sha256:
            headers["X-Linked-ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        return self._send(connection, seen, 302, headers, b"")

    def _file(self, connection: socket.socket, seen: Seen) -> bool:
        fault = self._fault(seen.method) or Fault()
        content = self._content(seen.path.rpartition("/")[2])
        content = content if fault.body is None else fault.body
        headers: dict[str, str | None] = {"ETag": self.etag, "Content-Type": "application/x-gguf"}
        condition = seen.headers.get("if-range")
        start = seen.start
        fresh = not condition or condition == self.etag or not self.honours_if_range
        status = 200
        if seen.range and self.ranges and fresh and not fault.ignore_range:
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", seen.range)
            assert match
            total = len(content)
            if start >= total:
                return self._send(connection, seen, 416, {"Content-Range": f"bytes */{total}"}, b"")
            end = min(int(match[2]) + 1, total) if match[2] else total
            content, status = content[start + fault.shift : end + fault.shift], 206
            first = start + fault.shift
            said = total + fault.grown
            headers["Content-Range"] = f"bytes {first}-{end + fault.shift - 1}/{said}"
        if seen.method == "HEAD" and self.claimed:
            headers["Content-Length"] = str(self.claimed)
        headers.update(fault.headers)
        if fault.lack:
            content = content[: -fault.lack]
        return self._send(connection, seen, fault.status or status, headers, content, fault)

    def _content(self, name: str) -> bytes:
        return self.files.get(name, self.content)

    def _fault(self, method: str) -> Fault | None:
        with self._faulting:
            if not self.faults or self.faults[0].method != method:
                return None
            fault = self.faults.popleft()
            if fault.turn:
                self.content, self.etag = fault.turn
            return fault

    def _send(self, connection, seen, status, headers, content, fault=None) -> bool:
        fault = fault or Fault()
        seen.status = status
        if fault.end == "mute":
            self.resumed.wait()
        if fault.end in ("mute", "away"):
            return False
        lines = [f"HTTP/1.1 {status} Said"]
        chunked = {"Transfer-Encoding": "chunked"}
        headers = {
            **(chunked if fault.chunked else {"Content-Length": str(len(content))}),
            **headers,
        }
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if seen.method == "HEAD":
            return True
        self._send_body(connection, seen, content + fault.surplus, fault)
        return not fault.end and headers.get("Content-Length") is not None

    def _send_body(self, connection, seen, content, fault) -> None:
        seen.length = len(content)
        limit = fault.after if fault.end else len(content)
        for offset in range(0, min(limit, len(content)), 65536):
            piece = content[offset : min(offset + 65536, limit)]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if fault.chunked else piece)
            seen.sent += len(piece)
            if self.pause_at is not None and seen.start + seen.sent >= self.pause_at:
                self.pause_at = None
                self.paused.set()
                self.resumed.wait()
        if fault.chunked and not fault.end:
            connection.sendall(b"0\r\n\r\n")
        if fault.end == "stall":
            self.resumed.wait()
        if fault.end == "reset":
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx on loopback with a configuration of its own, and what it says it sent."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import os
import signal
import socket
import string
import subprocess
import time
import typing as t
from pathlib import Path

from tests.bench.sample import NAME, Sample

REPO = "bench/file"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# How long a server that is told to stop may take for what is on its way.
STOPPING = 30.0
STARTING = 10.0
# One worker: the tools have to share two cores with it. As on the hub, the link leads to another
# host.
CONFIGURATION = string.Template("""\
$user
worker_processes 1;
daemon off;
pid "$folder/nginx.pid";
error_log stderr warn;
events { worker_connections 256; }
http {
    log_format sent '$$request_method $$status $$body_bytes_sent $$uri';
    access_log "$folder/access.log" sent;
    client_body_temp_path "$folder/body";
    proxy_temp_path "$folder/proxy";
    fastcgi_temp_path "$folder/fastcgi";
    scgi_temp_path "$folder/scgi";
    uwsgi_temp_path "$folder/uwsgi";
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    server {
        listen 127.0.0.1:$port;
        listen 127.0.0.2:$port;
        location /files/ {
            alias "$files/";
            limit_rate $rate;
        }
        location ~ ^/$repo/resolve/[^/]+/$name$$ {
            add_header X-Repo-Commit $commit always;
            add_header X-Linked-Size $size always;
            add_header X-Linked-ETag '"$sha256"' always;
            add_header Accept-Ranges bytes always;
            return 302 http://127.0.0.2:$port/files/$name;
        }
    }
}
""")


@dataclasses.dataclass(frozen=True)
class Server:
    """Where the file is. C(endpoint) speaks the hub's resolve protocol."""

    endpoint: str
    log: Path

    @property
    def url(self) -> str:
        return f"{self.endpoint}/files/{NAME}"

    @property
    def sent(self) -> int:
        """Bytes of bodies that left nginx, read or not; complete once it has stopped."""
        return sent_in(self.log.read_text(encoding="utf-8"))


def sent_in(log: str) -> int:
    """What was sent of files in all, by the lines of the access log."""
    total = 0
    for line in log.splitlines():
        _method, status, count, _uri = line.split(" ", 3)
        total += int(count) if status in ("200", "206") else 0
    return total


@contextlib.contextmanager
def serving(folder: Path, sample: Sample, rate: int = 0) -> t.Iterator[Server]:
    """nginx with this file, at so many bytes per second and connection (0: as fast as it goes)."""
    folder.mkdir()
    port = _free_port()
    text = CONFIGURATION.substitute(
        # Without root's rights nginx stays who it is, and would warn of this line.
        user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        folder=folder,
        files=sample.path.parent,
        name=NAME,
        repo=REPO,
        commit=COMMIT,
        size=sample.size,
        sha256=sample.sha256,
        port=port,
        rate=rate,
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(text, encoding="utf-8")
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    with (folder / "error.log").open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors, start_new_session=True)
    try:
        _wait_for(port, process, folder / "error.log")
        yield Server(f"http://127.0.0.1:{port}", folder / "access.log")
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], errors: Path) -> None:
    until = time.monotonic() + STARTING
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"nginx does not start:\n{errors.read_text(encoding='utf-8')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Gracefully first: what is on its way to somebody who was killed still gets its line.
    for order in (signal.SIGQUIT, signal.SIGTERM):
        process.send_signal(order)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOPPING)
            return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

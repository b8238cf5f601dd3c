# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics server: is the tunnel ready, and some numbers."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
import typing as t

from lab.cloudflared.connections import Connections
from lab.cloudflared.errors import CommandError
from lab.cloudflared.version import VERSION

#: Tried in turn when nobody says where to listen, as in the real image.
KNOWN_PORTS = range(20241, 20246)
_EVERYWHERE = {"", "0.0.0.0", "::", "[::]"}
_NUMBERS = """\
# HELP build_info Build and version information
# TYPE build_info gauge
build_info{{goversion="none",revision="stand-in",type="",version="{version}"}} 1
# HELP cloudflared_tunnel_ha_connections Number of active ha connections
# TYPE cloudflared_tunnel_ha_connections gauge
cloudflared_tunnel_ha_connections {connections}
# HELP cloudflared_tunnel_total_requests Amount of requests proxied through all the tunnels
# TYPE cloudflared_tunnel_total_requests counter
cloudflared_tunnel_total_requests 0
"""
_CONFIG = {
    "version": -1,
    "config": {
        "ingress": [{"service": "http_status:503"}],
        "warp-routing": {},
        "originRequest": {},
    },
}


def listen(address: str) -> socket.socket:
    """Bind where asked, or to the first of the known ports that is free."""
    if address:
        try:
            return _bind(address)
        except (OSError, ValueError) as exc:
            raise CommandError(f"failed to bind to address ({address}): {exc}") from exc
    for port in KNOWN_PORTS:
        with contextlib.suppress(OSError):
            return _bind(f"0.0.0.0:{port}")
    return _bind("0.0.0.0:0")


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise ValueError("missing port in address")
    if host in _EVERYWHERE and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            return socket.create_server(
                ("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True
            )
    host = "0.0.0.0" if host in _EVERYWHERE else host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family)


def shown(listener: socket.socket) -> str:
    """The address as the log writes it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class MetricsServer:
    """Answers on a listening socket, in threads of its own."""

    def __init__(self, listener: socket.socket, connections: Connections) -> None:
        handler = type("Handler", (_Handler,), {"connections": connections})
        self._server = http.server.ThreadingHTTPServer(
            listener.getsockname()[:2], handler, bind_and_activate=False
        )
        self._server.socket.close()
        self._server.socket = listener
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    connections: t.ClassVar[Connections]

    def do_GET(self) -> None:
        status, text = self._answer(self.path.partition("?")[0])
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, path: str) -> tuple[int, str]:
        ready = self.connections.ready
        match path:
            case "/ready":
                status = 200 if ready else 503
                connector = str(self.connections.connector)
                state = {"status": status, "readyConnections": ready, "connectorId": connector}
                return status, json.dumps(state, separators=(",", ":"))
            case "/healthcheck":
                return 200, "OK\n"
            case "/metrics":
                return 200, _NUMBERS.format(version=VERSION, connections=ready)
            case "/config":
                return 200, json.dumps(_CONFIG, separators=(",", ":"))
            case "/quicktunnel":
                return 200, '{"hostname":""}'
            case "/debug/pprof/cmdline":
                return 403, "forbidden\n"
            case _:
                return 404, "404 page not found\n"

    def version_string(self) -> str:
        return f"cloudflared-standin/{VERSION}"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: health checks come every few seconds."""

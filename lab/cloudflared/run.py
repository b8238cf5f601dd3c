# SPDX-License-Identifier: GPL-3.0-or-later
"""`cloudflared tunnel run`."""

from __future__ import annotations

import os
import platform
import signal
from pathlib import Path

from lab.cloudflared import flags, token
from lab.cloudflared.connections import Connections
from lab.cloudflared.errors import CommandError, UsageError
from lab.cloudflared.flags import Line
from lab.cloudflared.log import Log
from lab.cloudflared.metrics import MetricsServer, listen, shown
from lab.cloudflared.version import NOTICE, VERSION

_PROTOCOLS = {"auto": "quic", "quic": "quic", "http2": "http2"}
_SIGNALS = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}
_NO_TUNNEL = (
    '"cloudflared tunnel run" requires the ID or name of the tunnel to run as the last command '
    "line argument or in the configuration file."
)


class Stop:
    """SIGTERM or SIGINT. They are waited for, as handlers could interrupt anything."""

    def __init__(self, log: Log) -> None:
        self._log = log
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def within(self, seconds: float) -> bool:
        """Wait; return whether one came."""
        came = signal.sigtimedwait(_SIGNALS, seconds)
        if came is None:
            return False
        name = _SIGNALS[signal.Signals(came.si_signo)]
        self._log("info", f"Initiating graceful shutdown due to signal {name} ...")
        return True


def run(line: Line) -> None:
    """Hold the tunnel's place until SIGTERM or SIGINT."""
    credentials = _credentials(line)
    protocol = line.value("protocol") or "auto"
    if protocol not in _PROTOCOLS:
        raise CommandError(f"unknown protocol {protocol}; only auto, quic and http2 are known")
    log = Log(line.value("loglevel") or "info")
    stop = Stop(log)
    log("info", "Starting tunnel", tunnelID=credentials.tunnel)
    log("info", f"Version {VERSION}: {NOTICE}")
    log("info", f"GOOS: linux, GOVersion: none, GoArch: {platform.machine()}")
    log("info", f"Settings: {_go_map(flags.settings(line))}")
    if seen := flags.variables(line):
        log("info", f"Environmental variables {_go_map(seen)}")
    connections = Connections(credentials, _PROTOCOLS[protocol], log)
    log("info", f"Generated Connector ID: {connections.connector}")
    log("info", f"Initial protocol {_PROTOCOLS[protocol]}")
    server = _metrics(line, connections, log)
    connections.keep(stop.within)
    log("info", "Tunnel server stopped")
    server.stop()
    log("info", "Metrics server stopped")


def _credentials(line: Line) -> token.Token:
    text = line.value("token")
    if not text and (file := line.value("token-file")):
        text = _read(Path(file))
    if text:
        try:
            return token.parse(text)
        except token.MalformedToken:
            raise UsageError("Provided Tunnel token is not valid.") from None
    if len(line.words) > 2:
        raise CommandError("the stand-in knows tunnels by their token only")
    raise UsageError(_NO_TUNNEL)


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8", "replace").strip()
    except OSError as exc:
        verb = "read" if isinstance(exc, IsADirectoryError) else "open"
        reason = os.strerror(exc.errno or 0).lower()
        raise UsageError(f"Failed to read token file: {verb} {file}: {reason}") from None


def _metrics(line: Line, connections: Connections, log: Log) -> MetricsServer:
    try:
        listener = listen(line.value("metrics"))
    except CommandError as exc:
        log("error", "Error opening metrics server listener", error=exc)
        raise CommandError(f"Error opening metrics server listener: {exc}") from exc
    server = MetricsServer(listener, connections)
    server.start()
    log("info", f"Starting metrics server on {shown(listener)}/metrics")
    return server


def _go_map(values: dict[str, str]) -> str:
    return f"map[{' '.join(f'{name}:{value}' for name, value in values.items())}]"

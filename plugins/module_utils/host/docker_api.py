# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read-only questions to the local Docker Engine, over its socket. Private."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

SOCKET = "var/run/docker.sock"
_BINARIES = ("usr/bin/dockerd", "usr/sbin/dockerd", "usr/local/bin/dockerd", "snap/bin/dockerd")


class EngineError(Exception):
    """The engine did not answer, or not as it should; says why."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def socket_path(root: str = "/") -> str:
    """Where the engine listens."""
    return str(Path(root, SOCKET))


def is_installed(root: str = "/") -> bool:
    """Whether the engine's program is on this machine."""
    return any(Path(root, name).exists() for name in _BINARIES)


def get(path: str, *, root: str = "/", timeout: float = 5) -> Any:
    """The engine's answer to one GET, decoded from JSON where it is JSON."""
    connection = _UnixConnection(socket_path(root), timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except FileNotFoundError as exc:
        raise EngineError(f"no engine listens on {socket_path(root)}") from exc
    except PermissionError as exc:
        raise EngineError(f"this user may not use {socket_path(root)}") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise EngineError(f"{socket_path(root)}: {exc or type(exc).__name__}") from exc
    finally:
        connection.close()
    if response.status != 200:
        raise EngineError(f"GET {path} was answered {response.status}")
    if "json" not in (response.getheader("Content-Type") or ""):
        return body.decode("utf-8", "replace")
    try:
        return json.loads(body)
    except ValueError as exc:
        raise EngineError(f"GET {path} was not answered in JSON") from exc


def answers(*, root: str = "/", timeout: float = 2) -> bool:
    """Whether the engine serves requests."""
    try:
        get("/_ping", root=root, timeout=timeout)
    except EngineError:
        return False
    return True


def containers(*, root: str = "/", everything: bool = True) -> list[dict[str, Any]]:
    """The containers, as the engine lists them; stopped ones too unless told otherwise."""
    listed: list[dict[str, Any]] = get(f"/containers/json?all={int(everything)}", root=root)
    return listed


def name_of(container: dict[str, Any]) -> str:
    """A listed container's name; a link's name has a second slash and does not count."""
    names = [name[1:] for name in container.get("Names") or [] if name.count("/") == 1]
    return names[0] if names else str(container.get("Id", ""))[:12]


def publisher_of(listed: list[dict[str, Any]], port: int) -> tuple[str, str] | None:
    """Name and host address of the running container whose TCP port is published as C(port)."""
    for container in listed:
        for published in container.get("Ports") or []:
            if published.get("PublicPort") == port and published.get("Type") == "tcp":
                return name_of(container), published.get("IP") or "0.0.0.0"
    return None

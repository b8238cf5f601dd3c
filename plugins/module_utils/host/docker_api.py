# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions and requests to the local Docker Engine, over its socket. Private."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOCKET = "var/run/docker.sock"
_BINARIES = ("usr/bin/dockerd", "usr/sbin/dockerd", "usr/local/bin/dockerd", "snap/bin/dockerd")


class EngineError(Exception):
    """The engine did not answer, or not as it should; says why."""


class EngineSilent(EngineError):
    """The engine did not answer in time."""

    def __init__(self, request: str, seconds: float) -> None:
        super().__init__(f"{request} was not answered within {seconds:g} s")
        self.seconds = seconds


class EngineRefused(EngineError):
    """The engine answered that it does not do it; C(said) is its own explanation."""

    def __init__(self, request: str, status: int, said: str) -> None:
        super().__init__(f"{request} was answered {status}" + (f": {said}" if said else ""))
        self.status = status
        self.said = said or f"the engine answered {status}"


@dataclass(frozen=True)
class Finished:
    """How a command in a container ended, and what it printed."""

    exit_code: int
    output: str


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
    return send("GET", path, root=root, timeout=timeout)


def send(method: str, path: str, body: Any = None, *, root: str = "/", timeout: float = 30) -> Any:
    """The engine's answer to one request, decoded from JSON where it is JSON.

    C(timeout) is for how long the engine may stay silent.
    """
    request = f"{method} {path}"
    response, content = _exchange(method, path, body, root, timeout)
    kind = response.getheader("Content-Type") or ""
    if not 200 <= response.status < 300:
        raise EngineRefused(request, response.status, _explanation(content))
    if "json" not in kind:
        return content.decode("utf-8", "replace")
    try:
        return json.loads(content)
    except ValueError as exc:
        raise EngineError(f"{request} was not answered in JSON") from exc


def _exchange(
    method: str, path: str, body: Any, root: str, timeout: float
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = _UnixConnection(socket_path(root), timeout)
    content = None if body is None else json.dumps(body)
    headers = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        return response, response.read()
    except FileNotFoundError as exc:
        raise EngineError(f"no engine listens on {socket_path(root)}") from exc
    except PermissionError as exc:
        raise EngineError(f"this user may not use {socket_path(root)}") from exc
    except TimeoutError as exc:
        raise EngineSilent(f"{method} {path}", timeout) from exc
    except (OSError, http.client.HTTPException) as exc:
        raise EngineError(f"{socket_path(root)}: {exc or type(exc).__name__}") from exc
    finally:
        connection.close()


def _explanation(content: bytes) -> str:
    try:
        said = json.loads(content)
    except ValueError:
        return ""
    return " ".join(str(said.get("message", "")).split()) if isinstance(said, dict) else ""


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


def inspect(name: str, *, root: str = "/") -> dict[str, Any] | None:
    """Everything the engine knows of a container; None when there is none of that name."""
    try:
        found: dict[str, Any] = get(f"/containers/{urllib.parse.quote(name)}/json", root=root)
    except EngineRefused as exc:
        if exc.status == 404:
            return None
        raise
    return found


def pids(ident: str, *, root: str = "/") -> tuple[int, ...]:
    """The processes of a running container, in the numbers of the host."""
    table = get(f"/containers/{ident}/top", root=root, timeout=20)
    column = table["Titles"].index("PID")
    return tuple(int(process[column]) for process in table["Processes"] or [])


def labelled(label: str, *, root: str = "/") -> list[dict[str, Any]]:
    """The containers with this label (C(key=value)), stopped ones too."""
    filters = urllib.parse.quote(json.dumps({"label": [label]}))
    listed: list[dict[str, Any]] = get(f"/containers/json?all=1&filters={filters}", root=root)
    return listed


def create(name: str, config: dict[str, Any], *, root: str = "/") -> str:
    """The id of a container made from a configuration in the engine's words."""
    query = urllib.parse.urlencode({"name": name})
    return str(send("POST", f"/containers/create?{query}", config, root=root)["Id"])


def start(ident: str, *, root: str = "/") -> None:
    """Start a container."""
    send("POST", f"/containers/{ident}/start", root=root)


def wait(ident: str, timeout: float, *, root: str = "/") -> int:
    """The exit status of a container, once it has ended."""
    return int(send("POST", f"/containers/{ident}/wait", root=root, timeout=timeout)["StatusCode"])


def logs(ident: str, *, root: str = "/") -> str:
    """What a container with a terminal has printed."""
    said: str = get(f"/containers/{ident}/logs?stdout=1&stderr=1", root=root)
    return said.replace("\r\n", "\n")


def remove(ident: str, *, root: str = "/") -> None:
    """Remove a container, running or not, with its anonymous volumes; gone is fine."""
    try:
        send("DELETE", f"/containers/{ident}?force=1&v=1", root=root)
    except EngineRefused as exc:
        # 409: its removal is in progress.
        if exc.status not in (404, 409):
            raise


def execute(ident: str, command: list[str], timeout: float, *, root: str = "/") -> Finished:
    """Run a command in a running container, to its end."""
    # With a terminal the engine hands on the bare text, without frames around it.
    wanted = {"Cmd": command, "AttachStdout": True, "AttachStderr": True, "Tty": True}
    ident = send("POST", f"/containers/{ident}/exec", wanted, root=root)["Id"]
    begin = {"Detach": False, "Tty": True}
    output = str(send("POST", f"/exec/{ident}/start", begin, root=root, timeout=timeout))
    return Finished(_exit_code(ident, root), output.replace("\r\n", "\n"))


def _exit_code(ident: str, root: str) -> int:
    # The output may end a moment before the engine has noted how the command did.
    for pause in (0, 0.1, 0.4, 1.5):
        time.sleep(pause)
        exit_code = get(f"/exec/{ident}/json", root=root).get("ExitCode")
        if exit_code is not None:
            return int(exit_code)
    raise EngineError("the engine does not tell how the command ended")

# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in internet: origin, CDN and container registry."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request

from lab import build
from lab.containers import Container, volume
from lab.errors import LabError
from lab.names import ADDRESSES, CDN, DATA_VOLUME, ORIGIN, REGISTRY, REGISTRY_PORT, REGISTRY_VOLUME

#: What the lab itself asks its services is kept out of the record by this name.
USER_AGENT = "edgellm-lab"
_READY_WITHIN = 30.0
_HEALTH = {
    ORIGIN: f"http://{ADDRESSES[ORIGIN]}/_lab/health",
    CDN: f"http://{ADDRESSES[CDN]}/_lab/health",
    REGISTRY: f"http://{ADDRESSES[REGISTRY]}:{REGISTRY_PORT}/v2/",
}


def registry() -> Container:
    return Container(
        name=REGISTRY,
        image=build.tag("services"),
        kind="services",
        address=ADDRESSES[REGISTRY],
        aliases=("registry.lab",),
        options=(
            *("--hostname", "registry"),
            *volume(REGISTRY_VOLUME, "/var/lib/docker-registry"),
            # The engine pushes without TLS to loopback addresses only.
            *("--publish", f"127.0.0.1::{REGISTRY_PORT}"),
            # The access log is read back by `lab record`.
            *("--log-driver", "json-file"),
            *("--env", "OTEL_TRACES_EXPORTER=none"),
        ),
        command=("docker-registry", "serve", "/etc/edgellm-lab/registry.yml"),
    )


def origin(data: str) -> Container:
    """The origin; `data` names the content it serves, so that new content makes it anew."""
    return _web(ORIGIN, "origin", data)


def cdn(data: str) -> Container:
    """The same program under a second host name, for redirects that cross hosts."""
    return _web(CDN, "cdn", data)


def _web(name: str, role: str, data: str) -> Container:
    return Container(
        name=name,
        image=build.tag("services"),
        kind="services",
        address=ADDRESSES[name],
        aliases=(f"{role}.lab",),
        options=("--hostname", role, *volume(DATA_VOLUME, "/srv/lab")),
        command=(
            *("python3", "-m", "lab.origin", "--root", "/srv/lab", "--port", "80"),
            *("--cdn-host", ADDRESSES[CDN], "--role", role),
        ),
        fingerprint=data,
    )


def get(url: str, *, method: str = "GET", accept: str = "*/*") -> tuple[int, dict[str, str], bytes]:
    """One plain request past any proxy: these addresses are on this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Accept": accept, "User-Agent": USER_AGENT}
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as exc:
        return exc.code, {k.lower(): v for k, v in exc.headers.items()}, exc.read()
    except (OSError, http.client.HTTPException) as exc:
        raise LabError(f"{url} does not answer: {exc}") from exc


def wait(names: list[str]) -> None:
    """Until every service named answers."""
    deadline = time.monotonic() + _READY_WITHIN
    for name in names:
        while True:
            try:
                status, _headers, _body = get(_HEALTH[name])
            except LabError:
                status = 0
            if status == 200:
                break
            if time.monotonic() > deadline:
                raise LabError(f"{name} does not answer; see `python -m lab logs {name}`")
            time.sleep(0.1)

# SPDX-License-Identifier: GPL-3.0-or-later
"""`cloudflared tunnel ready`: the health check."""

from __future__ import annotations

import contextlib
import http.client

from lab.cloudflared.errors import CommandError
from lab.cloudflared.flags import Line

_PATIENCE = 10.0


def ready(line: Line) -> None:
    """Fail unless the tunnel at the metrics address has a connection."""
    address = line.value("metrics")
    if not address:
        raise CommandError("--metrics has to be provided")
    url = f"http://{address}/ready"
    try:
        with contextlib.closing(
            http.client.HTTPConnection(address, timeout=_PATIENCE)
        ) as connection:
            connection.request("GET", "/ready")
            answer = connection.getresponse()
            body = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as exc:
        raise CommandError(f'Get "{url}": {exc}') from exc
    if answer.status != 200:
        raise CommandError(f"{url} endpoint returned status code {answer.status}\n{body}")

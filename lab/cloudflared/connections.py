# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections that the tunnel says it has. There are none: nothing here opens a socket."""

from __future__ import annotations

import typing as t
import uuid

from lab.cloudflared.log import Log
from lab.cloudflared.token import Token

COUNT = 4
#: Seconds between attempts that are refused, the first one and the longest one.
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


class Connections:
    """Four connections if an edge would take the token, else none and another attempt."""

    def __init__(self, token: Token, protocol: str, log: Log) -> None:
        self.connector = uuid.uuid4()
        self.ready = 0
        self._token, self._protocol, self._log = token, protocol, log

    def keep(self, stopped_within: t.Callable[[float], bool]) -> None:
        """Until told to stop, which is asked again and again."""
        refusal, wait = self._token.refusal(), _FIRST_WAIT
        if refusal is None:
            self._register()
            while not stopped_within(_LONGEST_WAIT):
                pass
            self.ready = 0
            return
        stopped = False
        while not stopped:
            self._log(
                "error", "Register tunnel error from server side",
                error=refusal, connIndex=0, event=0, ip="192.0.2.1",
            )  # fmt: skip
            self._log("info", f"Retrying connection in up to {wait:.0f}s", connIndex=0, event=0)
            stopped = stopped_within(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _register(self) -> None:
        for index in range(COUNT):
            self._log(
                "info", "Registered tunnel connection",
                connIndex=index, connection=uuid.uuid4(), event=0,
                # An address from the range for documentation: nobody is there.
                ip=f"192.0.2.{index + 1}", location="nowhere", protocol=self._protocol,
            )  # fmt: skip
            self.ready = index + 1

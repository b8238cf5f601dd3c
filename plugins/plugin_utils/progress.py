# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to say about long work, and when. Pure. Private."""

from __future__ import annotations

import dataclasses
import json

from ansible_collections.edgellm.host.plugins.plugin_utils.text import (
    printable,
    shortened,
    size,
    width,
)

QUIET_SECONDS = 5.0
EVERY_SECONDS = 10.0
EVERY_SHARE = 0.1
# Of a long name at least this much is shown, however narrow the terminal is.
LEAST_NAME = 8
# What is said of anything but fetching.
DOING = {"copying": "copied ", "verifying": "checked ", "waiting": "another run has "}


@dataclasses.dataclass(frozen=True)
class Status:
    """The content of a status file (module_utils/status_file.py writes it).

    C(writer) is the process that does the work if it is not the module's own.
    """

    name: str
    pid: int
    phase: str
    writer: int | None
    bytes_done: int
    bytes_total: int
    bytes_per_second: int

    @property
    def share(self) -> float:
        """How much of the work is done, from 0 to 1."""
        return min(self.bytes_done / self.bytes_total, 1.0) if self.bytes_total else 0.0


def read(text: str) -> Status | None:
    """The status, or None if the file is not (yet) there."""
    try:
        return Status(**json.loads(text))
    except (ValueError, TypeError):
        return None


@dataclasses.dataclass
class Pace:
    """Decides whether a line is due: every 10 s or 10 %, and none for work that ends fast."""

    started: float
    said_at: float | None = None
    said_share: float = 0.0

    def is_due(self, now: float, share: float) -> bool:
        if now - self.started < QUIET_SECONDS:
            return False
        waited = self.said_at is None or now - self.said_at >= EVERY_SECONDS
        if not waited and share - self.said_share < EVERY_SHARE:
            return False
        self.said_at, self.said_share = now, share
        return True


def line(host: str, status: Status, columns: int | None = None) -> str:
    """One line about one host. Where it would take more columns, the name is shortened."""
    name, said = printable(status.name), _far(status)
    gap = "  " if name else ""
    if columns is not None:
        name = shortened(name, max(columns - width(f"{host}: {gap}{said}"), LEAST_NAME))
    return f"{host}: {name}{gap}{said}"


def _far(status: Status) -> str:
    if not status.bytes_total:
        return "starting"
    done, total = min(status.bytes_done, status.bytes_total), status.bytes_total
    doing = DOING.get(status.phase, "")
    said = f"{doing}{size(done)} of {size(total)} ({status.share:.0%})"
    if done >= total:
        return said if doing else f"{said}, being verified"
    if not status.bytes_per_second:
        return said
    rate = status.bytes_per_second
    return f"{said}, {size(rate)}/s, {duration((total - done) / rate)} left"


def waits(host: str, status: Status) -> str:
    """What to know of a file that somebody else is fetching."""
    return (
        f"{host}: {status.name} is being fetched by process {status.writer or '?'} already, so "
        f"this run waits for it. To stop that one too, type on the host: "
        f"kill {status.writer or '<its number>'}"
    )


def duration(seconds: float) -> str:
    """A time in the two largest units that matter."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

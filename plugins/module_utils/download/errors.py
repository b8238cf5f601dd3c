# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with a download.

EdgellmError
├── Refused
└── DownloadError
    ├── Transient            the same request may succeed in a moment
    │   ├── Lost             no connection, or it broke, or a body that is too short
    │   ├── Busy             408, 429 or 5xx, with the time the server asks for
    │   ├── LinkExpired      403 behind a redirect: the signed link is no longer good
    │   ├── NotTheFile       a web page, a compressed body, another format
    │   └── Doubtful         the answer does not fit what the source said: ask it again
    │       ├── RangeIgnored 200 although a part was asked for on a condition
    │       ├── NoRanges     200 although a part was asked for without any condition
    │       └── BadRange     416, or a part that was not asked for
    ├── Unavailable          the source says no (401, 403, 404 …)
    ├── Changed              the source offers another file than it did a moment ago
    ├── Mismatch             the file has not the SHA-256 it should have
    └── Locked               somebody else is fetching the same file
"""

from __future__ import annotations

import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused as Refused


class DownloadError(EdgellmError):
    pass


class Transient(DownloadError):
    retry_after: float | None = None


class Lost(Transient):
    pass


class Busy(Transient):
    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LinkExpired(Transient):
    pass


class NotTheFile(Transient):
    pass


class Doubtful(Transient):
    pass


class RangeIgnored(Doubtful):
    pass


class NoRanges(Doubtful):
    pass


class BadRange(Doubtful):
    pass


class Unavailable(DownloadError):
    def __init__(self, message: str, *, status: int | None = None, **details: t.Any) -> None:
        super().__init__(message, status=status, **details)
        self.status = status


class Changed(DownloadError):
    pass


class Mismatch(DownloadError):
    pass


class Locked(DownloadError):
    """C(certain): the other one lives on this machine, so that waiting for it makes sense."""

    def __init__(self, message: str, *, certain: bool = False, **details: t.Any) -> None:
        super().__init__(message, **details)
        self.certain = certain

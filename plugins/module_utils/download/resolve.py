# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the source what it has, before the first byte of it. Private."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .errors import Refused, Transient, Unavailable

if t.TYPE_CHECKING:
    from .http import Answer, Http
    from .patience import Patience
    from .source import Source

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40,64}")
# No file has more digits, and more than Python reads would be an error of another kind.
_SIZE = re.compile(r"[0-9]{1,19}")
_RANGE = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)")
# Links that are signed for one method answer these to another.
_NO_HEAD = (400, 403, 405, 501)


@dataclasses.dataclass(frozen=True)
class Remote:
    """What the source offers now. C(url) may hold a secret; C(etag) is that of the body."""

    url: str
    size: int | None
    sha256: str | None = None
    version: str | None = None
    etag: str | None = None
    commit: str | None = None


@dataclasses.dataclass(frozen=True)
class Part:
    """A Content-Range: first and last byte, and the size of the whole."""

    first: int
    last: int
    total: int | None


def resolve(http: Http, source: Source, patience: Patience) -> Remote:
    """What the source offers; tried again while that may help."""
    while True:
        try:
            return _resolve(http, source)
        except Transient as fault:
            patience.wait(fault)


def part_of(answer: Answer) -> Part | None:
    """The part of the file that the answer says it is."""
    match = _RANGE.fullmatch(answer.headers.get("content-range", "").strip().lower())
    if not match or match[1] is None:
        return None
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if last < first or (total is not None and last >= total):
        return None
    return Part(first, last, total)


def _resolve(http: Http, source: Source) -> Remote:
    with http.open("HEAD", source.url, enough=_is_linked) as answer:
        # The hub says why it refuses, and would refuse a GET as well.
        if answer.status not in _NO_HEAD or "x-error-code" in answer.headers:
            return _remote(source, answer)
    with http.open("GET", source.url, {"Range": "bytes=0-0"}) as answer:
        return _remote(source, answer)


def _is_linked(answer: Answer) -> bool:
    """Whether this redirect tells all there is to know."""
    return bool(_SIZE.fullmatch(answer.headers.get("x-linked-size", "")))


def _remote(source: Source, answer: Answer) -> Remote:
    headers = answer.headers
    linked = headers.get("x-linked-etag", "").strip().removeprefix("W/").strip('"').lower()
    commit = headers.get("x-repo-commit", "").strip().lower()
    commit = commit if _COMMIT.fullmatch(commit) else ""
    sha256 = linked if _SHA256.fullmatch(linked) else None
    # The name of a branch moves, and a file must not change while it is fetched.
    url = source.at(commit) if commit else source.url
    if _is_linked(answer):
        return Remote(
            url, int(headers["x-linked-size"]), sha256, linked or None, None, commit or None
        )
    if answer.status not in (200, 206):
        raise answer.failure()
    answer.refuse_other_content()
    part = part_of(answer) if answer.status == 206 else None
    size = part.total if part else answer.length if answer.status == 200 else None
    version = sha256 or answer.etag or headers.get("last-modified") or None
    return Remote(url, size, sha256, version, answer.etag, commit or None)


def size_of(remote: Remote, wanted: int | None, where: str) -> int:
    """The size to expect, or why there is none."""
    size = remote.size if remote.size is not None else wanted
    if size is None:
        raise Unavailable(f"{where} does not say how large the file is. Say it in size.")
    if wanted is not None and wanted != size:
        raise Refused(f"{where} has {size} bytes, but size says {wanted}. Nothing was fetched.")
    return size


def sha256_of(remote: Remote, wanted: str | None, where: str) -> str | None:
    """The SHA-256 to expect, if anybody knows it."""
    if wanted and remote.sha256 and wanted != remote.sha256:
        raise Refused(
            f"{where} has now the SHA-256 {remote.sha256}, but sha256 says {wanted}. "
            "Nothing was fetched. Name a revision (a commit) that has the wanted file, "
            "or take the new one by its hash."
        )
    return wanted or remote.sha256

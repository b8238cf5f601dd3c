# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines in the form of the real program's console."""

from __future__ import annotations

import json
import re
import sys
import time
import typing as t

LEVELS = {"debug": "DBG", "info": "INF", "warn": "WRN", "error": "ERR", "fatal": "FTL"}
_PLAIN = re.compile(r'[^\s"\\=]*')


class Log:
    """Writes what is at least as grave as `level`; an unknown level counts as info."""

    def __init__(self, level: str = "info", stream: t.TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        names = list(LEVELS)
        known = level in LEVELS
        self._shown = names[names.index(level if known else "info") :]
        if not known:
            self("error", f'Failed to parse log level "{level}", using "info" instead')

    def __call__(self, level: str, message: str, **fields: object) -> None:
        if level not in self._shown:
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        words = [now, LEVELS[level], message]
        # The error comes first, then the others by name.
        for name in sorted(fields, key=lambda name: (name != "error", name)):
            words.append(f"{name}={_quoted(str(fields[name]))}")
        print(*words, file=self._stream, flush=True)


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)

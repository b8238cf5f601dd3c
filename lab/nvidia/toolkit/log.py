# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines on stderr in the shape of the real programs' logger."""

from __future__ import annotations

import datetime
import json
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Log:
    """Writes lines; a quiet one writes errors only."""

    quiet: bool = False

    def info(self, message: str) -> None:
        self._write("info", message)

    def warning(self, message: str) -> None:
        self._write("warning", message)

    def error(self, message: str) -> None:
        self._write("error", message)

    def _write(self, level: str, message: str) -> None:
        if self.quiet and level != "error":
            return
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = json.dumps(message, ensure_ascii=False)
        print(f'time="{now}" level={level} msg={text}', file=sys.stderr, flush=True)

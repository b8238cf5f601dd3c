# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines in the shape of Go's slog text handler, as the real server writes them."""

from __future__ import annotations

import datetime
import json
import sys


def info(message: str, **fields: object) -> None:
    """Write one INFO line to stderr."""
    _write("INFO", message, fields)


def warning(message: str, **fields: object) -> None:
    """Write one WARN line to stderr."""
    _write("WARN", message, fields)


def error(message: str, **fields: object) -> None:
    """Write one ERROR line to stderr."""
    _write("ERROR", message, fields)


def _write(level: str, message: str, fields: dict[str, object]) -> None:
    now = datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")
    words = [f"time={now}", f"level={level}", "source=standin", f"msg={_quoted(message)}"]
    words += [f"{key}={_quoted(str(value))}" for key, value in fields.items()]
    print(" ".join(words), file=sys.stderr, flush=True)


def _quoted(text: str) -> str:
    plain = text and all(char.isprintable() and char not in ' "=' for char in text)
    return text if plain else json.dumps(text, ensure_ascii=False)

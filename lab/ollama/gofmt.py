# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as Go's fmt, time and Ollama's own format package print them."""

from __future__ import annotations

import datetime
import decimal
import math
import re
import typing as t

FOREVER_YEARS = 292
_SHORT_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def rfc3339(timestamp: float, *, utc: bool = False) -> str:
    """Return a time as Go's RFC3339Nano prints it, in the server's zone or in UTC."""
    moment = datetime.datetime.fromtimestamp(timestamp, datetime.timezone.utc)
    text = (moment if utc else moment.astimezone()).isoformat()
    text = re.sub(r"(\.\d*?)0+(?=[+Z-])", r"\1", text) if "." in text else text
    return re.sub(r"[+-]00:00$", "Z", text)


def forever() -> float:
    """Return the moment that stands for never: as far away as a Go duration reaches."""
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    return now + FOREVER_YEARS * 365.25 * 86400


def value(item: t.Any) -> str:
    """Return a JSON value as `%v` prints it."""
    if isinstance(item, bool):
        return "true" if item else "false"
    return number(item) if isinstance(item, (int, float)) else str(item)


def quoted_value(item: t.Any) -> str:
    """Return a JSON value as `%#v` prints it: strings quoted, numbers and booleans bare."""
    return quote(item) if isinstance(item, str) else value(item)


def number(item: float) -> str:
    """Return a float64 as `%v` prints it: from 1e6 on and below 1e-4 with an exponent."""
    sign, digits, power = decimal.Decimal(repr(float(item))).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    exponent = len(digits) + int(power) - 1
    prefix = "-" if sign else ""
    if text == "0":
        return "0"
    if exponent < -4 or exponent >= 6:
        mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
        return f"{prefix}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return prefix + format(decimal.Decimal(repr(float(item))).copy_abs(), "f").removesuffix(".0")


def quote(text: str) -> str:
    """Return a string as strconv.Quote prints it."""
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def human_number(count: int) -> str:
    """Return a parameter count as Ollama writes it: 134.52M, 8.0B."""
    for limit, unit, places in ((10**9, "B", 1), (10**6, "M", 2)):
        if count >= limit:
            return f"{count / limit:.{0 if count % limit == 0 else places}f}{unit}"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def human_bytes(count: int) -> str:
    """Return a size as `ollama list` writes it."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB"), (3, "KB")):
        if count >= 10**power:
            amount = count / 10**power
            whole = amount >= 10 or amount == int(amount)
            return f"{int(amount)} {unit}" if whole else f"{amount:.1f} {unit}"
    return f"{count} B"


def human_time(timestamp: float, now: float) -> str:
    """Return how long ago or ahead a moment is, in words."""
    delta = now - timestamp
    if int(delta / 3600) // 24 / 365 < -20:
        return "Forever"
    return f"{_human_duration(-delta)} from now" if delta < 0 else f"{_human_duration(delta)} ago"


def _human_duration(seconds: float) -> str:
    minutes, hours = int(seconds / 60), math.floor(seconds / 3600 + 0.5)
    table = (
        (seconds < 1, "Less than a second"),
        (int(seconds) == 1, "1 second"),
        (seconds < 60, f"{int(seconds)} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 14, f"{hours // 24} days"),
        (hours < 24 * 60, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 365 * 2, f"{hours // 24 // 30} months"),
    )
    return next((text for fits, text in table if fits), f"{int(seconds / 3600) // 24 // 365} years")

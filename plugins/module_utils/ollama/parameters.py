# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Model parameters: their types, and how Ollama reads and writes their values. Pure. Private."""

from __future__ import annotations

import difflib
import fractions
import math
import re
import struct
import typing as t

from .errors import InvalidParameter

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Value = int | float | bool | str | list[str]

_INT, _FLOAT, _BOOL, _STRINGS = "int", "float", "bool", "strings"
TYPES = {
    **dict.fromkeys(
        (
            "draft_num_predict",
            "main_gpu",
            "num_batch",
            "num_ctx",
            "num_gpu",
            "num_keep",
            "num_predict",
            "num_thread",
            "repeat_last_n",
            "seed",
            "top_k",
        ),
        _INT,
    ),
    **dict.fromkeys(
        (
            "frequency_penalty",
            "min_p",
            "presence_penalty",
            "repeat_penalty",
            "temperature",
            "top_p",
            "typical_p",
        ),
        _FLOAT,
    ),
    "stop": _STRINGS,
    "use_mmap": _BOOL,
}
# Understood, and then left out: servers no longer know them.
DEPRECATED = frozenset(
    {
        "f16_kv",
        "logits_all",
        "low_vram",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "penalize_newline",
        "use_mlock",
        "vocab_only",
    }
)
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(r"[+-]?0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[+-]?[0-9]+")
# Where Go allows an underscore in a number: between digits, and after the 0x.
_DECIMAL_UNDERSCORE = re.compile(r"(?<=[0-9])_(?=[0-9])")
_HEXADECIMAL_UNDERSCORE = re.compile(r"(?<=[0-9a-fx])_(?=[0-9a-f])")
_SPECIAL = re.compile(r"[+-]?inf(inity)?|nan", re.IGNORECASE)
_LONGEST_EXPONENT = 5000


def convert(name: str, text: str) -> Value:
    """The value a PARAMETER line means; InvalidParameter in Ollama's own words."""
    kind = TYPES.get(name)
    if kind is None:
        close = difflib.get_close_matches(name.lower(), TYPES, n=1)
        hint = f"did you mean '{close[0]}'?" if close else ""
        raise InvalidParameter(f"unknown parameter '{name}'", hint=hint)
    value = _READERS[kind](text)
    if value is None:
        raise InvalidParameter(f"invalid {kind} value [{text}]")
    return value


def _integer(text: str) -> int | None:
    if not _INTEGER.fullmatch(text):
        return None
    # Long before a number has so many digits it is too large; Python refuses to read it.
    digits = text.lstrip("+-").lstrip("0")
    value = int(text) if len(digits) < 20 else 2**63
    return value if -(2**63) <= value < 2**63 else None


def _float(text: str) -> float | None:
    if _SPECIAL.fullmatch(text):
        return float(text)
    value = _exact(text)
    if value is None:
        return None
    rounded = _to_float32(value)
    return None if math.isinf(rounded) else rounded


def _boolean(text: str) -> bool | None:
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def _strings(text: str) -> list[str]:
    return [text]


_READERS: dict[str, t.Callable[[str], Value | None]] = {
    _INT: _integer,
    _FLOAT: _float,
    _BOOL: _boolean,
    _STRINGS: _strings,
}


def _exact(text: str) -> fractions.Fraction | None:
    """The number as it is written, or None if it is not one."""
    text = text.lower()
    decimal = _DECIMAL_UNDERSCORE.sub("", text)
    if _DECIMAL.fullmatch(decimal):
        mantissa, _e, exponent = decimal.partition("e")
        return fractions.Fraction(mantissa) * fractions.Fraction(10) ** _power(exponent)
    hexadecimal = _HEXADECIMAL_UNDERSCORE.sub("", text)
    if _HEXADECIMAL.fullmatch(hexadecimal):
        mantissa, _p, exponent = hexadecimal.partition("p")
        whole, _dot, part = mantissa.partition(".")
        sign = -1 if whole.startswith("-") else 1
        digits = int(whole.lstrip("+-").removeprefix("0x") + part, 16)
        return sign * digits * fractions.Fraction(2) ** (_power(exponent) - 4 * len(part))
    return None


def _power(exponent: str) -> int:
    # Far beyond what a number can have, and still quick to reckon with.
    digits = exponent.lstrip("+-").lstrip("0") or "0"
    power = min(int(digits[:5]), _LONGEST_EXPONENT)
    return -power if exponent.startswith("-") else power


def _to_float32(value: fractions.Fraction) -> float:
    """The nearest single-precision number, as the shortest decimal that means it."""
    try:
        double = float(value)
        if math.isfinite(double) and double:
            double = _odd(value, double)
        return shortest(_single(double))
    except OverflowError:
        return math.inf


def _odd(value: fractions.Fraction, double: float) -> float:
    """The double beside the value whose last bit is set, unless the value is a double itself.

    So one that was rounded does not pretend to be half way between two singles.
    """
    (bits,) = struct.unpack("<q", struct.pack("<d", abs(double)))
    exact = fractions.Fraction(double)
    if value == exact or bits & 1:
        return double
    bits += 1 if abs(value) > abs(exact) else -1
    (neighbour,) = struct.unpack("<d", struct.pack("<q", bits))
    return math.copysign(neighbour, double)


def _single(double: float) -> float:
    (single,) = struct.unpack("<f", struct.pack("<f", double))
    return float(single)


def shortest(single: float) -> float:
    """A single-precision number as the double that has its shortest decimal form."""
    if not math.isfinite(single):
        return single
    for digits in range(1, 10):
        double = float(f"{single:.{digits}g}")
        try:
            if _single(double) == single:
                return double
        except OverflowError:
            continue
    return single


def read_shown(text: str) -> dict[str, list[Value]]:
    """The parameters as /api/show writes them: a name and a value per line, names may repeat."""
    found: dict[str, list[Value]] = {}
    for line in text.split("\n"):
        name, _blank, rest = line.strip().partition(" ")
        if name:
            found.setdefault(name, []).append(_shown_value(rest.strip()))
    return found


def _shown_value(text: str) -> Value:
    if text.startswith('"'):
        return unquote(text)
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"((?:\\x[0-9a-f]{2})+)|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})|\\(.)", re.DOTALL)


def unquote(text: str) -> str:
    """The string that Go has put in quotes."""

    def plain(match: re.Match[str]) -> str:
        octets, four, eight, other = match.groups()
        if octets:
            return bytes.fromhex(octets.replace("\\x", "")).decode("utf-8", "replace")
        if four or eight:
            return chr(int(four or eight, 16))
        return _ESCAPES.get(other, other)

    return _ESCAPE.sub(plain, text.removeprefix('"').removesuffix('"'))


def normalise(shown: Mapping[str, list[Value]], wanted: Mapping[str, Value]) -> dict[str, Value]:
    """What is shown in the form of what is wanted, so that equal values are equal.

    Stop words that nobody wanted are left out: the server adds those of the template itself.
    """
    found: dict[str, Value] = {}
    for name, values in shown.items():
        if name == "stop":
            if "stop" in wanted:
                found[name] = [str(value) for value in values]
        elif name in wanted and len(values) == 1 and _means(name, values[0], wanted[name]):
            found[name] = wanted[name]
        elif len(values) == 1 and not (name in wanted and values[0] == wanted[name]):
            found[name] = values[0]
        else:
            # Several, or a number where Python would take 1 for true.
            found[name] = [str(value) for value in values]
    return found


def _means(name: str, shown: Value, wanted: Value) -> bool:
    is_number = isinstance(shown, (int, float)) and isinstance(wanted, (int, float))
    if not is_number or isinstance(shown, bool) or isinstance(wanted, bool):
        return type(shown) is type(wanted) and shown == wanted
    left, right = float(t.cast(float, shown)), float(t.cast(float, wanted))
    if TYPES.get(name) == _FLOAT:
        # What the client rounded to single precision and what it did not is the same to a server.
        return _single(left) == _single(right)
    return left == right

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text for a terminal in which some characters are two columns wide. Pure. Private."""

from __future__ import annotations

import re
import typing as t
import unicodedata

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB")
# What Japanese typesetting does not let stand at the beginning or the end of a line.
_NOT_FIRST = frozenset(
    "、。，．・：；？！゛゜´｀¨ヽヾゝゞ々ー）」』】〕〉》’”ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ,.!?:;)]}"
)
_NOT_LAST = frozenset("（「『【〔〈《‘“([{")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """The text without what a terminal would take for a command."""
    return _CONTROL.sub("", text).expandtabs(4)


def width(text: str) -> int:
    """How many columns the text takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """The text filled up with blanks; to the right end of its column when asked."""
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def shortened(text: str, columns: int) -> str:
    """The text in so many columns: of one that takes more, the middle is left out."""
    if width(text) <= columns:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while (head or tail) and width(head) + width(tail) >= columns:
        if width(head) >= width(tail):
            head = head[:-1]
        else:
            tail = tail[1:]
    return f"{head}…{tail}"


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most so many columns, broken at blanks or between wide characters."""
    lines: list[str] = []
    for paragraph in printable(text).split("\n"):
        line = ""
        for piece in _pieces(paragraph, columns):
            if line and width(line) + width(piece.rstrip()) > columns:
                lines.append(line.rstrip())
                line = piece.lstrip()
            else:
                line += piece
        lines.append(line.rstrip())
    return lines


def _pieces(text: str, columns: int) -> Iterator[str]:
    """The text cut wherever a line may end; a piece too long for any line is cut by force."""
    piece = ""
    for character in text:
        may_break = (
            (piece.endswith(" ") and character != " ")
            or _columns(character) == 2
            or (piece and _columns(piece[-1]) == 2)
        )
        glued = character in _NOT_FIRST or (piece and piece[-1] in _NOT_LAST) or character == " "
        if piece and ((may_break and not glued) or width(piece + character) > columns):
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def size(count: float | None) -> str:
    """Bytes as disk makers and registries count them, in powers of a thousand."""
    if count is None:
        return "?"
    value = float(count)
    for unit in _UNITS:
        if abs(value) < 999.95 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Aligned lines. The columns whose titles are among the words of C(right) end flush."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(width(row[i]) for row in cells) for i in range(len(header))]
    flush = right.split()
    return [
        "  ".join(
            pad(cell, columns, right=title in flush)
            for cell, columns, title in zip(row, widths, header, strict=True)
        ).rstrip()
        for row in cells
    ]

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which language a text may be, as far as its letters tell. Pure. Private.

Letters tell the script, not the language: French passes for English, Ukrainian for Russian.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import typing as t
import unicodedata

# Where the letters of a script stand. What is only another form of a letter (half or full width)
# is normalised before, and what is no letter (marks, digits, punctuation) does not count.
_SCRIPTS: dict[str, tuple[tuple[int, int], ...]] = {
    "Latin": ((0x41, 0x24F), (0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF)),
    "Greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0xA640, 0xA69F)),
    "Hebrew": ((0x590, 0x5FF),),
    "Arabic": ((0x600, 0x6FF), (0x750, 0x77F), (0x870, 0x8FF)),
    "Devanagari": ((0x900, 0x97F), (0xA8E0, 0xA8FF)),
    "Thai": ((0xE00, 0xE7F),),
    "Hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)),
    "kana": ((0x3041, 0x30FF), (0x31F0, 0x31FF)),
    "Han": ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3FFFD)),
}
_OTHER = "other"
_MARKS = frozenset({"Mn", "Mc", "Me", "Cf"})
# Written without blanks between words, so every letter counts like a word of another script.
_UNSPACED = frozenset({"Thai", "kana", "Han"})
# Foreign words and names belong to every language, but not as the larger part.
_MOST = 0.5
# So much of Japanese is kana at least, and of Chinese at most (a name, a brand).
_KANA = 0.1


@dataclasses.dataclass(frozen=True)
class _Language:
    """The scripts that are to make up most of a text, and the part of kana in them."""

    name: str
    scripts: tuple[str, ...]
    kana: t.Literal["some", "none", ""] = ""


_LANGUAGES = {
    "ar": _Language("Arabic", ("Arabic",)),
    "el": _Language("Greek", ("Greek",)),
    "en": _Language("English", ("Latin",)),
    "he": _Language("Hebrew", ("Hebrew",)),
    "hi": _Language("Hindi", ("Devanagari",)),
    "ja": _Language("Japanese", ("kana", "Han"), kana="some"),
    "ko": _Language("Korean", ("Hangul",)),
    "ru": _Language("Russian", ("Cyrillic",)),
    "th": _Language("Thai", ("Thai",)),
    "zh": _Language("Chinese", ("kana", "Han"), kana="none"),
}
LANGUAGES = tuple(_LANGUAGES)


def judge(text: str, code: str) -> str | None:
    """What speaks against this language, to be read after "the answer"; None if nothing does."""
    language, found = _LANGUAGES[code], shares(text)
    if not found:
        return f"has no letters that could be {language.name}"
    share = sum(found.get(script, 0.0) for script in language.scripts)
    if share < _MOST:
        return f"is not {language.name} but {_told(found)}"
    has_kana = found.get("kana", 0.0) >= _KANA * share
    if language.kana == "some" and not has_kana:
        return f"is not {language.name}, which has kana in it, but {_told(found)}"
    if language.kana == "none" and has_kana:
        return f"is not {language.name}, which has no kana in it, but {_told(found)}"
    return None


def shares(text: str) -> dict[str, float]:
    """The part of each script in the words of a text, the largest first; empty without letters."""
    scripts = [_script(letter) for letter in _without_marks(unicodedata.normalize("NFKC", text))]
    counted: collections.Counter[str] = collections.Counter()
    for script, run in itertools.groupby(scripts):
        if script:
            counted[script] += len(list(run)) if script in _UNSPACED else 1
    total = counted.total()
    return {script: count / total for script, count in counted.most_common()}


def _without_marks(text: str) -> t.Iterator[str]:
    """What is written above, below or between letters belongs to them and ends no word."""
    return (letter for letter in text if unicodedata.category(letter) not in _MARKS)


def _script(letter: str) -> str | None:
    """The script of a letter; None for what separates words."""
    if not letter.isalpha():
        return None
    place = ord(letter)
    return next(
        (
            script
            for script, ranges in _SCRIPTS.items()
            if any(first <= place <= last for first, last in ranges)
        ),
        _OTHER,
    )


def _told(found: dict[str, float]) -> str:
    return ", ".join(f"{share:.0%} {script}" for script, share in found.items())

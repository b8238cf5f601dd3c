# SPDX-License-Identifier: GPL-3.0-or-later
"""What a page of docs/ says to type: read the same way by the unit tests and by the lab.

A block fenced as `console` holds what a terminal shows. A line with `$ ` in front is a command (it
goes on after a backslash or inside quotes), the lines below it are what it answers, with `...`
standing for anything.
`<!-- not run: why -->` above a block says that no lab can run it.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"

_FENCE = re.compile(r"^```(\w*)$")
_NOT_RUN = re.compile(r"^<!-- not run: (.*) -->$")
_PROMPT = "$ "


@dataclasses.dataclass(frozen=True)
class Command:
    """One command of a page, and what the page says that it answers."""

    text: str
    answer: tuple[str, ...]
    line: int
    #: Why the lab cannot run it; empty if it does.
    not_run: str

    def missing(self, output: str) -> list[str]:
        """The lines of the answer that the output does not have."""
        return [line for line in self.answer if not _shown(line).search(output)]

    def renamed(self, names: tuple[tuple[str, str], ...]) -> Command:
        """The same command with other names in it."""
        answer = tuple(_replaced(line, names) for line in self.answer)
        return dataclasses.replace(self, text=_replaced(self.text, names), answer=answer)


def commands(page: Path) -> list[Command]:
    """Every command of a page, in its order."""
    found: list[Command] = []
    reason = ""
    for language, first, block in _pieces(page.read_text(encoding="utf-8").splitlines()):
        if language == "console":
            found += _of_block(block, first, reason)
        if language is not None or any(block):
            note = _NOT_RUN.match(block[-1]) if language is None else None
            reason = note.group(1) if note else ""
    return found


def prose(page: Path) -> list[tuple[int, str]]:
    """The lines of a page outside of its fenced blocks, with their numbers."""
    pieces = _pieces(page.read_text(encoding="utf-8").splitlines())
    return [
        (number, line)
        for language, first, block in pieces
        if language is None
        for number, line in enumerate(block, first)
    ]


def headings(page: Path) -> list[str]:
    """The headings of a page, with the signs that say their level."""
    return [line for _number, line in prose(page) if re.match(r"#+ ", line)]


def rows(page: Path) -> list[list[str]]:
    """The cells of every row of every table of a page."""
    lines = [line for _number, line in prose(page) if line.startswith("|")]
    split = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines if "|---" not in line]
    return [[cell.strip().replace(r"\|", "|") for cell in row] for row in split]


def spans(text: str) -> list[str]:
    """What stands in code quotes in a line, of either kind."""
    return [long or short for long, short in re.findall(r"`` (.+?) ``|`([^`]+)`", text)]


def _pieces(lines: list[str]) -> list[tuple[str | None, int, list[str]]]:
    """A page's paragraphs (language None) and fenced blocks, with the number of the first line."""
    pieces: list[tuple[str | None, int, list[str]]] = []
    language: str | None = None
    block: list[str] = []
    first = 1
    for number, line in enumerate([*lines, ""], 1):
        fence = _FENCE.match(line)
        if fence or (language is None and not line):
            if block or language is not None:
                pieces.append((language, first, block))
            opens = fence is not None and language is None
            language = fence.group(1) if fence and opens else None
            block, first = [], number + 1
        else:
            block.append(line)
    if language is not None:
        raise ValueError(f"line {first}: a block that never ends")
    return pieces


def _of_block(block: list[str], first: int, reason: str) -> list[Command]:
    found: list[Command] = []
    open_line = False
    for number, line in enumerate(block, first):
        if open_line:
            found[-1] = dataclasses.replace(found[-1], text=f"{found[-1].text}\n{line}")
        elif line.startswith(_PROMPT):
            found.append(Command(line.removeprefix(_PROMPT), (), number, reason))
        elif found:
            found[-1] = dataclasses.replace(found[-1], answer=(*found[-1].answer, line))
        else:
            raise ValueError(f"line {number}: an answer to no command")
        is_command = open_line or line.startswith(_PROMPT)
        open_line = is_command and _goes_on(found[-1].text)
    return found


def _goes_on(command: str) -> bool:
    return command.endswith("\\") or command.count("'") % 2 == 1


def _shown(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, line.split("..."))))


def _replaced(text: str, names: tuple[tuple[str, str], ...]) -> str:
    for name, other in names:
        text = text.replace(name, other)
    return text

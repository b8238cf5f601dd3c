# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make bench-download` can be told: SIZE, CASES, ROUNDS, KILLS."""

from __future__ import annotations

import dataclasses
import re
import typing as t

GIB = 1024**3
CASES = ("a", "b", "c", "d")
# Case c is about a model of the usual size.
KILLED_SIZE = 4_000_000_000
_UNITS = {"": 1, "M": 1024**2, "G": GIB}


@dataclasses.dataclass(frozen=True)
class Options:
    """Only with nothing changed it is the whole bench, which the page is written from."""

    size: int = GIB
    cases: tuple[str, ...] = CASES
    rounds: int = 3
    kills: int = 20

    @property
    def killed_size(self) -> int:
        return KILLED_SIZE * self.size // GIB

    @property
    def room(self) -> int:
        """The file, what is fetched of it, and what somebody who starts over leaves behind."""
        return 3 * (self.killed_size if self.runs("c") else self.size)

    @property
    def is_whole(self) -> bool:
        return self == Options()

    def runs(self, case: str) -> bool:
        # What d is about is measured in all of them.
        return case in self.cases or (case == "b" and self.cases == ("d",))


def options(env: t.Mapping[str, str]) -> Options:
    """The options from the environment, which is where make puts them."""
    whole = Options()
    cases = tuple(sorted(set(re.split(r"[,\s]+", env.get("CASES") or ",".join(CASES)))))
    if unknown := set(cases) - set(CASES):
        raise SystemExit(f"CASES names {', '.join(sorted(unknown))}: there are a, b, c and d.")
    return Options(
        size=_size(env.get("SIZE") or str(whole.size)),
        cases=cases,
        rounds=_count("ROUNDS", env, whole.rounds),
        kills=_count("KILLS", env, whole.kills),
    )


def _size(text: str) -> int:
    match = re.fullmatch(r"([1-9]\d*)([MG]?)", text)
    if not match:
        raise SystemExit(f"SIZE {text} is none: write 256M, 1G or bytes.")
    return int(match[1]) * _UNITS[match[2]]


def _count(name: str, env: t.Mapping[str, str], usual: int) -> int:
    text = env.get(name) or str(usual)
    if not re.fullmatch(r"[1-9]\d*", text):
        raise SystemExit(f"{name} {text} is not a number of at least 1.")
    return int(text)

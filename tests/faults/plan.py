# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in one run of tests/faults, made of nothing but its seed."""

from __future__ import annotations

import dataclasses
import random
import typing as t

# What passes: the same run must end with the right file.
PASSING = (
    "cut",
    "reset",
    "stall",
    "mute",
    "away",
    "whole",
    "other part",
    "other size",
    "416",
    "429",
    "503",
    "gzip",
    "page",
    "short",
    "short chunked",
    "chunked",
    "long",
    "other etag",
)
# What passes only where links are signed; elsewhere it is a No.
EXPIRED = "403"
# What stays, and how it is named.
STAYING = {
    "401": r"answers 401.*pass a token",
    "404": r"answers 404.*no such file",
    "451": r"answers 451",
    "later": r"asks to come back in 700 seconds",
    "wrong hash": r"with the SHA-256 [0-9a-f]{64}, but [0-9a-f]{64} was expected|"
    r"has now the SHA-256 [0-9a-f]{64}, but sha256 says [0-9a-f]{64}",
    "gone": r"cannot be reached",
    "full": r"is full|may not become larger",
    "no room": r"bytes free, and \d+ more are needed",
    "frozen": r"Nothing can be written to the folder",
}
CHANGED = "changed"
KILL = "kill"
SECOND = "two writers"
FALSE = ("lying mirror", "other mirror")
MIRRORS = ("honest mirror", "absent mirror", *FALSE)
# The first of a plan is taken in turn, so that all of them happen in few runs. The others come by.
RARE = {"away", "chunked", "short chunked", "other size", "451", "absent mirror"}
KINDS = tuple(
    kind
    for kind in (*PASSING, EXPIRED, *STAYING, CHANGED, KILL, SECOND, "no ranges", *MIRRORS)
    if kind not in RARE
)
# After these, what was there is fetched anew.
COSTLY = {"whole", "other part", "other size", "other etag", "no ranges", "wrong hash", CHANGED}
LARGEST = 3_000_000


@dataclasses.dataclass(frozen=True)
class Mishap:
    """One fault of one request; after that many bytes of its body, where it has one."""

    kind: str
    after: int = 0
    amount: int = 0


@dataclasses.dataclass(frozen=True)
class Run:
    """One call of the engine. C(kill) is where in the file the process dies.

    Another process wants the same C(second) seconds later.
    """

    mishaps: tuple[Mishap, ...] = ()
    of_mirror: tuple[Mishap, ...] = ()
    # Of the requests of the repository itself, where the bytes come from another server.
    of_hub: tuple[Mishap, ...] = ()
    kill: int | None = None
    stays: str = ""
    second: float | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that happens. The last run meets nothing, and must complete."""

    seed: int
    kind: str
    size: int
    lanes: int
    chunk: int
    # Of a repository, with links that are signed, by the same server or another one.
    hub: bool
    apart: bool
    # Whether the person, or else the source, says the SHA-256.
    given: bool
    stated: bool
    etag: bool
    conditional: bool
    ranges: bool
    mirror: str
    # What is at the place before: nothing, another file, the beginning of this one or of another.
    before: t.Literal["", "old", "begun", "wrongly begun"]
    runs: tuple[Run, ...]

    @property
    def provable(self) -> bool:
        return self.given or (self.hub and self.stated)


def plan_of(seed: int) -> Plan:
    """The same plan for the same seed. Pure."""
    chance = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    lanes = chance.choice((1, 2, 4, 8))
    size = chance.choice((chance.randrange(200_000), chance.randrange(200_000, LARGEST)))
    size = max(size, 5000)
    chunk = max(chance.randrange(60_000, 400_000), size // 24)
    hub = kind == "401" or chance.random() < 0.6
    given = chance.random() < 0.4 or kind == "wrong hash"
    stated = chance.random() < 0.8
    mirrored = kind in MIRRORS or (chance.random() < 0.15 and kind != CHANGED)
    if mirrored:
        given = given or not (hub and stated)
    etag = kind == CHANGED or chance.random() < 0.85
    scene = Plan(
        seed,
        kind,
        size,
        lanes,
        chunk,
        hub=hub,
        # Both would have to change.
        apart=hub and kind != CHANGED and chance.random() < 0.5,
        given=given,
        stated=stated,
        etag=etag,
        conditional=chance.random() < 0.8,
        ranges=kind != "no ranges",
        mirror=(kind if kind in MIRRORS else chance.choice(MIRRORS)) if mirrored else "",
        before=chance.choice(("", "", "", "old", "begun", "wrongly begun")),
        runs=(),
    )
    runs = [_run(chance, scene) for _ in range(chance.choice((1, 1, 1, 2)))]
    return dataclasses.replace(scene, runs=(*runs, Run()))


def _run(chance: random.Random, plan: Plan) -> Run:
    span = min(plan.chunk, plan.size)
    count = chance.randrange(1, 6)
    kinds = [chance.choice(PASSING + ((EXPIRED,) if plan.hub else ())) for _ in range(count)]
    # Waiting costs the time of whoever waits for the tests.
    patient = [kind for kind in kinds if kind in ("stall", "mute")]
    for kind in patient[1:]:
        kinds.remove(kind)
    if plan.kind in (*PASSING, CHANGED) or (plan.kind == EXPIRED and plan.hub):
        kinds.insert(chance.randrange(len(kinds) + 1), plan.kind)
    stays = plan.kind if plan.kind in STAYING else ""
    if plan.kind == EXPIRED and not plan.hub:
        stays = EXPIRED
    asked = stays in ("401", "404", "451", "later", EXPIRED)
    if asked:
        kinds.append(stays)
    mishaps = []
    for kind in kinds:
        mishaps += [Mishap("")] * chance.choice((0, 0, 0, 1, 3))
        mishaps.append(Mishap(kind, chance.randrange(span), chance.randrange(1, 2000)))
    often = 0.5 if plan.kind == SECOND else 0.1
    killed = plan.kind == KILL or (not stays and chance.random() < often)
    of_mirror = [
        Mishap(chance.choice((*PASSING, "404")), chance.randrange(span), 5)
        for _ in range(chance.randrange(3))
    ]
    of_hub = [Mishap(chance.choice(("429", "503"))) for _ in range(chance.randrange(4))]
    return Run(
        tuple(mishaps),
        tuple(of_mirror) if plan.mirror else (),
        tuple(of_hub) if plan.apart else (),
        kill=chance.randrange(plan.size) if killed else None,
        stays=stays,
        second=chance.random() * 0.3 if plan.kind == SECOND else None,
    )

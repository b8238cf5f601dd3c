# SPDX-License-Identifier: GPL-3.0-or-later
"""The server under test, as the environment names it: a real one, or else the stand-in.

`OLLAMA_URL` is a running server, `OLLAMA_STORE` its model directory, `OLLAMA_BIN` its program.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

import httpx
import pytest

from lab.ollama.settings import Settings

T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the server is, and what it says it is. No URL: the stand-in, started by the suite."""

    url: str
    store: Path | None
    program: Path | None
    version: str

    @property
    def is_standin(self) -> bool:
        return not self.url

    @property
    def shows_its_store(self) -> bool:
        return self.is_standin or self.store is not None

    @property
    def can_be_started(self) -> bool:
        return self.is_standin or self.program is not None

    def since(self, table: dict[str, T], *, standin: T | None = None) -> T:
        """The row of the version at hand: that of the newest version which is not newer.

        What the stand-in documents as different has a column of its own.
        """
        if self.is_standin and standin is not None:
            return standin
        mine = _numbers(self.version)
        known = [version for version in table if _numbers(version) <= mine]
        return table[max(known, key=_numbers)]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].partition("+")[0].split("."))


def _from_environment() -> Target:
    url = os.environ.get("OLLAMA_URL", "").rstrip("/")
    store, program = os.environ.get("OLLAMA_STORE"), os.environ.get("OLLAMA_BIN")
    if not url:
        return Target("", None, None, Settings().version)
    try:
        version = httpx.get(f"{url}/api/version", trust_env=False).json()["version"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise pytest.UsageError(f"OLLAMA_URL={url}: no Ollama answers there: {error}") from error
    return Target(url, Path(store) if store else None, Path(program) if program else None, version)


TARGET = _from_environment()

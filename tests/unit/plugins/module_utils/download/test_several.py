# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told while several files are fetched; which they are is tested beside the module."""

from __future__ import annotations

import random

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    engine,
    record,
    several,
    source,
)

CHANCE = random.Random(2)
FILES = {name: b"GGUF" + CHANCE.randbytes(200_000) for name in ("a", "b", "c")}
TOTAL = sum(map(len, FILES.values()))


@pytest.fixture
def parts(server, folder):
    server.files = FILES
    return [
        engine.Wanted(
            source.HubFile("n/r", name, endpoint=server.endpoint),
            folder / name,
            record.place(folder / name),
        )
        for name in FILES
    ]


@pytest.mark.parametrize("there", [(), ("a",), ("b",), ("a", "c")])
def test_progress_is_over_all_files(parts, folder, there):
    for part in parts:
        if part.dest.name in there:
            engine.ensure(part, engine.Manner(timeout=5))
    told = []
    manner = engine.Manner(timeout=5, report=lambda *numbers: told.append(numbers))
    outcomes = several.ensure(parts, manner)
    assert {total for _done, total, _fetched in told} == {TOTAL}
    done = [done for done, _total, _fetched in told]
    fetched = [fetched for _done, _total, fetched in told]
    assert (done, fetched) == (sorted(done), sorted(fetched))
    missing = sum(outcome.bytes_fetched for outcome in outcomes)
    assert (done[0], done[-1], fetched[-1]) == (TOTAL - missing, TOTAL, missing)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES

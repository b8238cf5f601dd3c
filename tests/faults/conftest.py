# SPDX-License-Identifier: GPL-3.0-or-later
"""Randomized runs of the download engine.

Everything that happens in a run comes from its seed. `make test` plays the first of them,
`pytest -m "" tests/faults` all. A run that fails prints its seed and its plan, and
`pytest tests/faults --fault-seed N` plays exactly that one again, whatever N is.
"""

from __future__ import annotations

import pytest

ALWAYS = 30
ALL = 240


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-seed", type=int, help="play this run of tests/faults alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        # Not known when this file is found too late, and then not given either.
        only = metafunc.config.getoption("--fault-seed", default=None)
        rare = [pytest.param(seed, marks=pytest.mark.full) for seed in range(ALWAYS, ALL)]
        metafunc.parametrize("seed", [*range(ALWAYS), *rare] if only is None else [only])

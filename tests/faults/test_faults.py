# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens: never a wrong file, never a hang, and nothing is fetched twice in vain."""

from __future__ import annotations

import contextlib

from tests.faults.conftest import ALWAYS
from tests.faults.plan import KINDS, plan_of
from tests.faults.scene import Broken, Scene, describe


def test_download(seed, tmp_path):
    plan = plan_of(seed)
    try:
        with contextlib.ExitStack() as stack:
            Scene(plan, tmp_path, stack).play()
    except AssertionError as error:
        again = f"pytest tests/faults --fault-seed {seed}"
        raise Broken(f"{error}\n{again}\n{describe(plan)}") from error


def test_every_kind_happens_among_those_that_are_always_played():
    assert {plan_of(seed).kind for seed in range(ALWAYS)} == set(KINDS)


def test_plan_comes_from_the_seed_alone():
    assert plan_of(7) == plan_of(7)
    assert plan_of(7) != plan_of(8)

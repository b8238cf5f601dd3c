# SPDX-License-Identifier: GPL-3.0-or-later
"""Every molecule scenario, one test each."""

from __future__ import annotations

from pathlib import Path

import pytest

MOLECULE = Path(__file__).resolve().parents[2] / "molecule"
# `default` owns the boxes and tests nothing.
SCENARIOS = sorted(f.parent.name for f in MOLECULE.glob("*/molecule.yml"))
SCENARIOS = [name for name in SCENARIOS if name != "default"]


@pytest.mark.lab
@pytest.mark.timeout(1500)
@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario, run_logged):
    run_logged(f"molecule-{scenario}", "scripts/molecule", scenario)

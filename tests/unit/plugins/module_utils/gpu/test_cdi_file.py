# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.gpu import cdi, cdi_file

STRAYS = {"/etc/cdi/nvidia.yaml": "/etc/cdi/nvidia.yaml.disabled"}


def spec(*codes):
    return cdi.Spec(
        path="/var/run/cdi/nvidia.yaml",
        program="/usr/bin/nvidia-ctk",
        fresh="new",
        present="old",
        devices=(),
        strays=tuple(STRAYS) if cdi.STRAY in codes else (),
        problems=tuple(cdi.Problem(code, f"because {code}") for code in codes),
    )


@pytest.mark.parametrize(
    ("codes", "write", "moves"),
    [
        ((), False, {}),
        ((cdi.MISSING,), True, {}),
        ((cdi.STALE,), True, {}),
        ((cdi.STRAY,), False, STRAYS),
        ((cdi.MISSING, cdi.STRAY), True, STRAYS),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_both_modes_decide_the_same(codes, write, moves, check_mode):
    plan = cdi_file.decide(spec(*codes), moves, check_mode=check_mode)
    assert (plan.write, plan.moves) == (write, moves)
    assert plan.changes is bool(codes)
    assert plan.reasons == [f"because {code}" for code in codes]


def test_toolkit_that_is_not_there_yet_is_a_change_in_check_mode_only():
    missing = spec(cdi.NOT_INSTALLED, cdi.MISSING)
    plan = cdi_file.decide(missing, {}, check_mode=True)
    assert (plan.changes, plan.reasons) == (True, ["nvidia-ctk is not installed yet"])
    with pytest.raises(Refused, match="nvidia-container-toolkit-base"):
        cdi_file.decide(missing, {}, check_mode=False)


@pytest.mark.parametrize("check_mode", [True, False])
def test_gpus_that_cannot_be_described_are_refused(check_mode):
    with pytest.raises(Refused, match="because failed"):
        cdi_file.decide(spec(cdi.FAILED, cdi.MISSING), {}, check_mode=check_mode)

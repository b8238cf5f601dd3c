# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from lab.containers import Container, plan, run_args
from lab.docker import Present

WANTED = Container(
    name="edgellm-lab-x",
    image="edgellm-lab/x:1",
    kind="x",
    address="198.18.77.99",
    aliases=("x.lab",),
    options=("--tmpfs", "/run"),
    command=("serve", "--port", "80"),
)


def present(state: str = "running", config: str = WANTED.config) -> dict[str, Present]:
    return {WANTED.name: Present(WANTED.name, state, config, WANTED.kind)}


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ("running", "keep"),
        ("exited", "start"),
        ("created", "start"),
        ("dead", "replace"),
        ("paused", "replace"),
    ],
)
def test_a_container_of_the_same_recipe_is_kept_where_it_can_be(state: str, action: str) -> None:
    assert [step.action for step in plan([WANTED], present(state))] == [action]


def test_a_missing_one_is_created_and_others_are_no_concern() -> None:
    others = {"edgellm-lab-y": Present("edgellm-lab-y", "running", "?", "y")}
    assert [step.action for step in plan([WANTED], others)] == ["create"]


@pytest.mark.parametrize(
    "change",
    [
        {"image": "edgellm-lab/x:2"},
        {"address": "198.18.77.98"},
        {"options": ()},
        {"command": ("serve",)},
        {"fingerprint": "other data"},
    ],
)
def test_any_change_of_recipe_makes_it_anew(change: dict[str, object]) -> None:
    changed = replace(WANTED, **change)  # type: ignore[arg-type]
    assert [step.action for step in plan([changed], present())] == ["replace"]


def test_run_arguments_end_with_image_and_command() -> None:
    args = run_args(WANTED)
    assert args[:2] == ["run", "--detach"]
    assert args[-4:] == ["edgellm-lab/x:1", "serve", "--port", "80"]
    pairs = list(itertools.pairwise(args))
    for pair in (
        ("--name", "edgellm-lab-x"),
        ("--network", "edgellm-lab"),
        ("--ip", "198.18.77.99"),
        ("--network-alias", "x.lab"),
        ("--label", "edgellm.lab=1"),
        ("--label", f"edgellm.lab.config={WANTED.config}"),
        ("--label", "edgellm.lab.image=x"),
        ("--tmpfs", "/run"),
    ):
        assert pair in pairs

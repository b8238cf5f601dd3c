# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    # Tests start ansible-playbook, molecule and friends by name: those beside this interpreter.
    # Ansible refuses to start in a locale that is not UTF-8.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["LC_ALL"] = "C.UTF-8"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no lab comes first: it fails within seconds. There is one lab for all the rest."""
    items.sort(key=lambda item: item.get_closest_marker("lab") is not None)
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.xdist_group("lab"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    # Tests start ansible-playbook, molecule and friends by name: those beside this interpreter.
    # Ansible refuses to start in a locale that is not UTF-8.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["LC_ALL"] = "C.UTF-8"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no lab comes first: it fails within seconds."""
    items.sort(key=lambda item: item.get_closest_marker("lab") is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """What needs the lab is one piece of work for one process: there is one lab."""
    from xdist.scheduler import LoadScopeScheduling

    class OneLab(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "lab" if nodeid.startswith("tests/system/") else nodeid

    return OneLab(config, log)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT

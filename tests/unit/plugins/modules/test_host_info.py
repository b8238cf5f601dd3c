# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

MODULE = "ansible_collections.edgellm.host.plugins.modules.host_info"


@pytest.mark.parametrize("check_mode", [True, False])
def test_this_machine_is_read(run_module, tmp_path, check_mode):
    result = run_module(
        "host_info", paths=[str(tmp_path)], packages=["no-such"], check_mode=check_mode
    )
    assert not result["changed"]
    host = result["host"]
    assert host["architecture"] == platform.machine()
    assert host["memory_bytes"] > 0
    assert host["packages"] == {"no-such": None}
    assert host["held"] == []
    assert host["paths"][str(tmp_path)]["exists"]


def test_result_has_the_documented_keys(run_module):
    documented = yaml.safe_load(importlib.import_module(MODULE).RETURN)["host"]["contains"]
    host = run_module("host_info")["host"]
    assert set(host) == set(documented)
    assert set(host["docker"]) == set(documented["docker"]["contains"])


def test_bare_python_is_enough():
    """Nothing that the module brings along needs more than the standard library."""
    helpers = Path(importlib.import_module(MODULE).__file__).parents[1] / "module_utils/host"
    names = [f.stem for f in helpers.glob("*.py") if not f.stem.startswith("_")]
    assert "info" in names
    package = "ansible_collections.edgellm.host.plugins.module_utils.host"
    statements = "; ".join(f"import {package}.{name}" for name in names)
    # -S leaves out what was installed beside Python.
    collections = next(p for p in helpers.parents if p.name == "plugins").parent
    path = [str(p) for p in (collections / "collections", collections.parents[2])]
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {path!r}; {statements}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr

# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-ins' packages: their names, their relations, and what is in them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from lab.nvidia import packages
from lab.nvidia.packages import PACKAGES, VERSIONS, control, lay_out

BY_NAME = {package.name: package for package in PACKAGES}
BASE = "nvidia-container-toolkit-base"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    lay_out(BY_NAME[BASE], "1.20.0-1", "amd64", tmp_path / "tree")
    return tmp_path / "tree"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_packages_ask_for_each_other_in_the_same_version(version: str) -> None:
    asked = {
        name: control(package, version, "amd64").get("Depends", "")
        for name, package in BY_NAME.items()
    }
    assert asked["nvidia-container-toolkit"].split(", ") == [
        f"{BASE} (= {version})",
        f"libnvidia-container-tools (= {version})",
        "libnvidia-container-tools (<< 2.0.0)",
    ]
    assert asked["libnvidia-container-tools"] == f"libnvidia-container1 (>= {version})"
    assert "nvidia" not in asked[BASE]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_says_what_it_is(package: packages.Package, tmp_path: Path) -> None:
    fields = control(package, VERSIONS[0], "arm64")
    assert "for tests only" in fields["Description"]
    assert "not NVIDIA" in fields["Maintainer"]
    lay_out(package, VERSIONS[0], "arm64", tmp_path / "tree")
    about = tmp_path / "tree/usr/share/doc" / package.name / "README"
    assert "not NVIDIA's package" in about.read_text()


def test_the_programs_are_where_the_real_ones_are(base: Path, tmp_path: Path) -> None:
    lay_out(BY_NAME["nvidia-container-toolkit"], VERSIONS[0], "amd64", tmp_path / "toolkit")
    programs = {
        path.name for tree in (base, tmp_path / "toolkit") for path in tree.glob("usr/bin/*")
    }
    assert programs == {"nvidia-ctk", "nvidia-container-runtime", "nvidia-container-runtime-hook"}


def test_a_program_finds_its_code_and_its_version(base: Path) -> None:
    program = base / "usr/bin/nvidia-ctk"
    assert program.stat().st_mode & 0o111 == 0o111
    text = program.read_text().replace("PYTHONPATH=/", f"PYTHONPATH={base}/")
    text = text.replace("/usr/bin/python3", sys.executable)
    argv = ["sh", "-c", text, "nvidia-ctk", "--version"]
    environment = {"EDGELLM_LAB_ROOT": str(base)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "NVIDIA Container Toolkit CLI version 1.20.0\n"


def test_the_code_that_is_packed_imports_nothing_that_is_not(base: Path) -> None:
    code = base / packages.CODE
    for path in code.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lab"):
                module = code / str(node.module).replace(".", "/")
                assert module.is_dir() or module.with_suffix(".py").is_file(), node.module


def test_the_refresh_unit_can_be_told_otherwise_by_a_conffile(base: Path) -> None:
    conffile = (base / "DEBIAN/conffiles").read_text().strip()
    assert (base / conffile.lstrip("/")).is_file()
    unit = (base / "usr/lib/systemd/system/nvidia-cdi-refresh.service").read_text().splitlines()
    assert f"EnvironmentFile=-{conffile}" in unit
    default = "Environment=NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/var/run/cdi/nvidia.yaml"
    assert unit.index(default) < unit.index(f"EnvironmentFile=-{conffile}")


@pytest.mark.parametrize("name", packages.SCRIPTS)
def test_a_maintainer_script_is_executable_and_a_plain_shells(base: Path, name: str) -> None:
    script = base / "DEBIAN" / name
    assert script.stat().st_mode & 0o777 == 0o755
    subprocess.run(["sh", "-n", str(script)], check=True)

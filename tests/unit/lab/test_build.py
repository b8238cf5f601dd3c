# SPDX-License-Identifier: GPL-3.0-or-later
"""The images' recipes: complete, and named by their content."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import build
from lab.names import ROOT

WITH_CODE = [name for name, image in build.IMAGES.items() if image.code]


@pytest.fixture(autouse=True)
def _fresh_tags() -> Iterator[None]:
    build.tag.cache_clear()
    yield
    build.tag.cache_clear()


def imported(path: Path) -> set[str]:
    """The modules of the lab that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.split(".")[0] == "lab"}


@pytest.mark.parametrize("name", WITH_CODE)
def test_an_image_carries_all_the_code_that_its_code_imports(name: str) -> None:
    carried = {n: p for n, p in build.context(build.IMAGES[name]).items() if n.startswith("code/")}
    needed = set()
    for path in (path for path in carried.values() if path.suffix == ".py"):
        for module in imported(path):
            file = ROOT / f"{module.replace('.', '/')}.py"
            package = ROOT / module.replace(".", "/") / "__init__.py"
            needed |= {str(p.relative_to(ROOT)) for p in (file, package) if p.exists()}
    assert needed <= {n.removeprefix("code/") for n in carried}


@pytest.mark.parametrize("name", sorted(build.IMAGES))
def test_a_recipe_is_there_and_its_package_list_is_sorted(name: str) -> None:
    files = build.context(build.IMAGES[name])
    assert "Dockerfile" in files or build.IMAGES[name].suite
    if "packages" in files:
        packages = files["packages"].read_text().split()
        assert packages == sorted(set(packages))


def test_a_change_in_a_parent_changes_all_that_is_built_upon_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = {name: build.tag(name) for name in build.IMAGES}
    recipes = tmp_path / "images"
    for path in build.RECIPES.rglob("*"):
        if path.is_file():
            copy = recipes / path.relative_to(build.RECIPES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(path.stat().st_mode)
    monkeypatch.setattr(build, "RECIPES", recipes)
    build.tag.cache_clear()
    assert {name: build.tag(name) for name in build.IMAGES} == before
    (recipes / "python/packages").write_text("libgomp1\nlibx\n")
    build.tag.cache_clear()
    changed = {name for name in build.IMAGES if build.tag(name) != before[name]}
    assert changed == {"python", "services", "ollama"}


def test_the_boxes_are_bare() -> None:
    """What a role has to bring must not be there already."""
    listed = (build.RECIPES / "box/packages").read_text() + (
        build.RECIPES / "debian/packages"
    ).read_text()
    names = set(listed.split())
    assert not {name for name in names if "docker" in name or "containerd" in name}
    assert {name for name in names if name.startswith("python3")} == {"python3"}


def test_the_tunnels_stand_in_is_put_together_from_nothing_and_has_no_rights() -> None:
    lines = (build.RECIPES / "cloudflared/Dockerfile").read_text().splitlines()
    last_stage = lines[lines.index("FROM scratch") :]
    assert not any(line.startswith(("RUN", "SHELL")) for line in last_stage)
    assert {
        "USER 65532:65532",
        'ENTRYPOINT ["cloudflared", "--no-autoupdate"]',
        'CMD ["version"]',
    } <= set(last_stage)
    command = build.RECIPES / "cloudflared/cloudflared"
    assert command.read_text().startswith("#!/usr/bin/python3 ")
    assert command.stat().st_mode & 0o111 == 0o111


def test_documentation_is_no_part_of_an_image() -> None:
    assert not [n for i in build.IMAGES.values() for n in build.context(i) if n.endswith(".md")]


def test_the_stand_in_has_no_curl_and_runs_as_root() -> None:
    recipes = ("debian/packages", "python/packages", "ollama/Dockerfile")
    text = "".join((build.RECIPES / name).read_text() for name in recipes)
    instructions = [line.split()[0] for line in text.splitlines() if line and line[0].isupper()]
    assert not {"USER", "HEALTHCHECK"} & set(instructions)
    packages = [line for line in text.splitlines() if not line.startswith("#")]
    assert not {"curl", "wget"} & set(packages)

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

from lab.hashing import content_hash, files_under


def recipe(folder: Path) -> Path:
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM x\n")
    (folder / "run").write_text("#!/bin/sh\n")
    return folder


def hashed(folder: Path) -> str:
    return content_hash({}, {str(p.relative_to(folder)): p for p in files_under([folder])})


def test_the_same_content_elsewhere_has_the_same_hash(tmp_path: Path) -> None:
    assert hashed(recipe(tmp_path / "a")) == hashed(recipe(tmp_path / "b"))


def test_content_name_and_executable_bit_all_count(tmp_path: Path) -> None:
    folder = recipe(tmp_path / "a")
    seen = {hashed(folder)}
    (folder / "run").chmod(0o755)
    seen.add(hashed(folder))
    (folder / "run").write_text("#!/bin/bash\n")
    seen.add(hashed(folder))
    (folder / "run").rename(folder / "start")
    seen.add(hashed(folder))
    assert len(seen) == 4


def test_values_count_whatever_their_order(tmp_path: Path) -> None:
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})


def test_contents_cannot_be_shifted_between_files(tmp_path: Path) -> None:
    for name, one, two in (("a", "xy", "z"), ("b", "x", "yz")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_text(one)
        (tmp_path / name / "2").write_text(two)
    assert hashed(tmp_path / "a") != hashed(tmp_path / "b")


def test_compiled_leftovers_do_not_count(tmp_path: Path) -> None:
    folder = recipe(tmp_path / "a")
    before = hashed(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/x.pyc").write_bytes(b"x")
    assert hashed(folder) == before

# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain files: validators, ranges, and nothing outside the directory."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest


@pytest.fixture
def file(root: Path) -> Path:
    path = root / "files/dir/data.bin"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)))
    return path


def test_range_only_while_the_file_is_the_same(origin: httpx.Client, file: Path) -> None:
    whole = origin.get("/files/dir/data.bin")
    assert whole.content == file.read_bytes()
    assert whole.headers["accept-ranges"] == "bytes"
    resume = {"Range": "bytes=200-", "If-Range": whole.headers["etag"]}
    part = origin.get("/files/dir/data.bin", headers=resume)
    assert (part.status_code, part.content) == (206, whole.content[200:])
    file.write_bytes(bytes(300))
    changed = origin.get("/files/dir/data.bin", headers=resume)
    assert (changed.status_code, changed.content) == (200, bytes(300))


def test_head_and_conditional_get(origin: httpx.Client, file: Path) -> None:
    head = origin.head("/files/dir/data.bin")
    assert (head.headers["content-length"], head.content) == ("256", b"")
    same = origin.get("/files/dir/data.bin", headers={"If-None-Match": head.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    since = {"If-Modified-Since": head.headers["last-modified"]}
    assert origin.get("/files/dir/data.bin", headers=since).status_code == 304


def test_an_unsatisfiable_range_names_the_size(origin: httpx.Client, file: Path) -> None:
    answer = origin.get("/files/dir/data.bin", headers={"Range": "bytes=256-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */256"


def test_compressed_files_are_files(origin: httpx.Client, root: Path) -> None:
    packages = root / "apt/docker/Packages.gz"
    packages.parent.mkdir()
    packages.write_bytes(b"\x1f\x8bnot really")
    answer = origin.get("/apt/docker/Packages.gz")
    assert answer.content == packages.read_bytes()
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["/files/dir", "/files/", "/files/nope", "/files/%2e%2e/record.jsonl", "/files//etc/passwd"],
)
def test_only_files_inside(origin: httpx.Client, file: Path, path: str) -> None:
    assert origin.get(path).status_code == 404

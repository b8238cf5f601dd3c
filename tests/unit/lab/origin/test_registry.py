# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry protocol, as facts about the public registry have it."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import httpx
import pytest

from lab.origin.app import create_app
from lab.testing import serve

MODEL = "/v2/library/smollm2"


def test_a_manifest_is_sent_verbatim(origin: httpx.Client, root: Path) -> None:
    raw = (root / "registry/manifests/library/smollm2/135m").read_bytes()
    answer = origin.get(f"{MODEL}/manifests/135m")
    assert answer.status_code == 200
    assert answer.content == raw
    assert not raw.endswith(b"\n")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/",
        "/v2/_catalog",
        f"{MODEL}/tags/list",
        f"{MODEL}/manifests/nope",
        "/v2/library/nope/manifests/latest",
        "/v2/library/../manifests/135m",
        f"{MODEL}/blobs/sha256:{'0' * 64}",
        f"{MODEL}/blobs/sha256:nonsense",
        f"/ollama/blobs/sha256:{'0' * 64}",
    ],
)
def test_what_is_not_there(origin: httpx.Client, path: str) -> None:
    assert origin.get(path).status_code == 404


def test_manifests_do_not_answer_head(origin: httpx.Client) -> None:
    assert origin.head(f"{MODEL}/manifests/135m").status_code == 404


def test_a_blob_lies_behind_another_host_name(
    origin: httpx.Client, manifest: dict[str, t.Any]
) -> None:
    layer = manifest["layers"][0]
    url = f"{MODEL}/blobs/{layer['digest']}"
    head = origin.head(url)
    assert (head.status_code, head.headers["content-length"]) == (200, str(layer["size"]))
    answer = origin.get(url)
    assert answer.status_code == 307
    target = httpx.URL(answer.headers["location"])
    assert (target.host, target.port) == ("localhost", origin.base_url.port)
    whole = origin.get(target)
    assert (whole.status_code, len(whole.content)) == (200, layer["size"])
    part = origin.get(target, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, whole.content[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{layer['size']}"
    assert origin.get(target, headers={"Range": "bytes=99999999-"}).status_code == 416


def test_without_a_second_host_a_blob_carries_its_location(
    root: Path, manifest: dict[str, t.Any]
) -> None:
    url = f"{MODEL}/blobs/{manifest['layers'][0]['digest']}"
    with serve(create_app(root)) as base:
        answer = httpx.get(base + url, trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (200, url)


def test_the_two_roles_share_nothing_but_the_data(root: Path, manifest: dict[str, t.Any]) -> None:
    digest = manifest["layers"][0]["digest"]
    with (
        serve(create_app(root, role="cdn")) as cdn,
        serve(create_app(root, cdn_host=httpx.URL(cdn).netloc.decode(), role="origin")) as base,
    ):
        location = httpx.get(f"{base}{MODEL}/blobs/{digest}", trust_env=False).headers["location"]
        assert location.startswith(cdn)
        assert httpx.get(location, trust_env=False).status_code == 200
        assert httpx.get(f"{cdn}{MODEL}/manifests/135m", trust_env=False).status_code == 404
        assert httpx.get(base + httpx.URL(location).path, trust_env=False).status_code == 404


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        ("ollama/0.32.15 (amd64 linux) Go/go1.26.0", 412),
        ("ollama/0.40.0 (amd64 linux) Go/go1.26.0", 200),
        ("ollama/0.40.1+standin (amd64 linux) Go/go1.26.0", 200),
        ("curl/8", 200),
    ],
)
def test_a_server_that_is_too_old(
    origin: httpx.Client, root: Path, agent: str, status: int
) -> None:
    (root / "registry/requires.json").write_text(json.dumps({"library/smollm2:135m": "0.40.0"}))
    answer = origin.get(f"{MODEL}/manifests/135m", headers={"User-Agent": agent})
    assert answer.status_code == status
    assert ("requires a newer version of Ollama" in answer.text) == (status == 412)

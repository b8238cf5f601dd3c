# SPDX-License-Identifier: GPL-3.0-or-later
"""The resolve protocol, as facts about the public hub have it."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from pathlib import Path

import httpx
import pytest

from lab.origin.app import create_app
from lab.origin.seed_hub import FILE, GATED, OPEN
from lab.testing import serve

URL = f"/hf/{OPEN}/resolve/main/{FILE}"
TOKEN = {"Authorization": "Bearer hf_secret"}


@pytest.fixture
def weights(root: Path) -> bytes:
    return (root / "hf" / OPEN / "main" / FILE).read_bytes()


def record(origin: httpx.Client) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in origin.get("/_lab/record").text.splitlines()]


def git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_large_file_is_named_before_it_is_sent(
    origin: httpx.Client, weights: bytes, method: str
) -> None:
    answer = origin.request(method, URL)
    assert answer.status_code == 302
    sha256 = hashlib.sha256(weights).hexdigest()
    assert answer.headers["x-linked-etag"] == f'"{sha256}"' == answer.headers["etag"]
    assert answer.headers["x-linked-size"] == str(len(weights))
    assert answer.headers["accept-ranges"] == "bytes"
    assert re.fullmatch(r"[0-9a-f]{40}", answer.headers["x-repo-commit"])
    target = httpx.URL(answer.headers["location"])
    assert (target.host, target.port) == ("localhost", origin.base_url.port)
    assert set(target.params) == {"Expires", "Signature"}
    whole = origin.get(target)
    assert (whole.status_code, whole.content) == (200, weights)
    # The two hosts' validators have nothing to do with each other.
    assert sha256 not in whole.headers["etag"]


def test_the_commit_names_the_content(origin: httpx.Client, root: Path) -> None:
    first = origin.head(URL).headers["x-repo-commit"]
    pinned = origin.head(URL.replace("/main/", f"/{first}/"))
    assert (pinned.status_code, pinned.headers["x-repo-commit"]) == (302, first)
    (root / "hf" / OPEN / "main/README.md").write_text("other\n")
    assert origin.head(URL).headers["x-repo-commit"] != first
    gone = origin.head(URL.replace("/main/", f"/{first}/"))
    assert (gone.status_code, gone.headers["x-error-code"]) == (404, "RevisionNotFound")


def test_ranges_of_the_cdn(origin: httpx.Client, weights: bytes) -> None:
    url = origin.head(URL).headers["location"]
    part = origin.get(url, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, weights[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{len(weights)}"
    for etag, status in ((part.headers["etag"], 206), ('"another"', 200)):
        headers = {"Range": "bytes=4-", "If-Range": etag}
        assert origin.get(url, headers=headers).status_code == status
    outside = origin.get(url, headers={"Range": f"bytes={len(weights)}-"})
    assert outside.status_code == 416
    assert outside.headers["content-range"] == f"bytes */{len(weights)}"
    assert [line["if_range"] for line in record(origin)][2:4] == [part.headers["etag"], '"another"']


def test_a_signed_url_is_good_for_one_path_and_a_while(origin: httpx.Client) -> None:
    url = httpx.URL(origin.head(URL).headers["location"])
    later = str(int(url.params["Expires"]) + 1)
    for bad in (
        url.copy_with(query=None),
        url.copy_set_param("Expires", later),
        url.copy_set_param("Expires", "soon"),
        url.copy_set_param("Signature", "ü"),
        url.copy_with(raw_path=url.raw_path.replace(b".gguf", b".ggu")),
    ):
        assert origin.get(bad).status_code == 403
    assert origin.post("/_lab/settings", json={"signed_url_lifetime": 0}).status_code == 200
    expired = origin.get(origin.head(URL).headers["location"])
    assert (expired.status_code, "expired" in expired.text) == (403, True)
    assert origin.get(url).status_code == 200
    assert origin.delete("/_lab/settings").json() == {"signed_url_lifetime": 3600}
    assert origin.get(origin.head(URL).headers["location"]).status_code == 200


@pytest.mark.parametrize(
    "wanted", [{"signed_url_lifetime": -1}, {"signed_url_lifetime": "1"}, {"x": 1}, {}, [], None]
)
def test_settings_that_make_no_sense(origin: httpx.Client, wanted: object) -> None:
    assert origin.post("/_lab/settings", json=wanted).status_code == 400
    assert origin.get("/_lab/settings").json() == {"signed_url_lifetime": 3600}


def test_small_files_are_sent_at_once(origin: httpx.Client, root: Path) -> None:
    card = (root / "hf" / OPEN / "main/README.md").read_bytes()
    answer = origin.get(f"/hf/{OPEN}/resolve/main/README.md")
    assert (answer.status_code, answer.content) == (200, card)
    assert answer.headers["etag"] == f'"{git_name(card)}"'
    assert answer.headers["x-repo-commit"] == origin.head(URL).headers["x-repo-commit"]
    assert "x-linked-etag" not in answer.headers
    same = origin.get(answer.url, headers={"If-None-Match": answer.headers["etag"]})
    assert same.status_code == 304


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/hf/{OPEN}/resolve/main/nope.gguf", "EntryNotFound"),
        (f"/hf/{OPEN}/resolve/main/%2e%2e/gated.json", "EntryNotFound"),
        (f"/hf/{OPEN}/resolve/nope/{FILE}", "RevisionNotFound"),
        (f"/hf/{OPEN}/resolve/%2e%2e/{FILE}", "RevisionNotFound"),
        (f"/hf/lab/nope/resolve/main/{FILE}", "RepoNotFound"),
        ("/hf/api/models/lab/nope/tree/main", "RepoNotFound"),
        (f"/hf/api/models/{OPEN}/tree/nope", "RevisionNotFound"),
        (f"/hf/api/models/{OPEN}/tree/main/nope", "EntryNotFound"),
    ],
)
def test_what_is_not_there(origin: httpx.Client, path: str, code: str) -> None:
    answer = origin.get(path)
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, code)


def test_a_gated_repository_wants_a_token(origin: httpx.Client, root: Path) -> None:
    url = f"/hf/{GATED}/resolve/main/{FILE}"
    for headers in ({}, {"Authorization": "Basic dTpw"}):
        answer = origin.head(url, headers=headers)
        assert (answer.status_code, answer.headers["x-error-code"]) == (401, "GatedRepo")
    assert origin.head(url, headers=TOKEN).status_code == 302
    (root / "hf" / GATED / "gated.json").write_text('{"tokens": ["hf_other"]}')
    answer = origin.head(url, headers=TOKEN)
    assert (answer.status_code, answer.headers["x-error-code"]) == (403, "GatedRepo")


def test_a_token_shows_but_is_never_written_down(origin: httpx.Client, root: Path) -> None:
    location = origin.head(URL, headers=TOKEN).headers["location"]
    origin.get(location)
    origin.get(location, headers=TOKEN)
    shown = [(line["path"].split("/")[1], line["authorization"]) for line in record(origin)]
    assert shown == [("hf", True), ("hf-cdn", False), ("hf-cdn", True)]
    assert "hf_secret" not in (root / "record.jsonl").read_text()


def test_a_listing(origin: httpx.Client, root: Path, weights: bytes) -> None:
    folder = root / "hf" / OPEN / "main/extra"
    folder.mkdir()
    (folder / "a.txt").write_text("a\n")
    top = origin.get(f"/hf/api/models/{OPEN}/tree/main")
    assert {entry["path"]: entry["type"] for entry in top.json()} == {
        ".gitattributes": "file", "README.md": "file", "extra": "directory", FILE: "file",
    }  # fmt: skip
    (large,) = [entry for entry in top.json() if entry["path"] == FILE]
    sha256 = hashlib.sha256(weights).hexdigest()
    assert large["size"] == len(weights)
    assert (large["lfs"]["oid"], large["lfs"]["size"]) == (sha256, len(weights))
    listing = origin.get(f"/hf/api/models/{OPEN}/tree/{top.headers['x-repo-commit']}/extra")
    assert listing.json() == [
        {"type": "file", "size": 2, "path": "extra/a.txt", "oid": git_name(b"a\n")}
    ]
    deep = origin.get(f"/hf/api/models/{OPEN}/tree/main", params={"recursive": "true"}).json()
    assert "extra/a.txt" in [entry["path"] for entry in deep]


def test_origin_and_cdn_share_the_key(root: Path, weights: bytes) -> None:
    with (
        serve(create_app(root, role="cdn")) as cdn,
        serve(create_app(root, cdn_host=httpx.URL(cdn).netloc.decode(), role="origin")) as base,
    ):
        location = httpx.head(base + URL, trust_env=False).headers["location"]
        assert location.startswith(cdn)
        assert httpx.get(location, trust_env=False).content == weights
        assert httpx.get(cdn + URL, trust_env=False).status_code == 404
        assert httpx.get(location.replace(cdn, base), trust_env=False).status_code == 404

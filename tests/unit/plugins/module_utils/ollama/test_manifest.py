# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import manifest


def layer(fill: str, size: int) -> dict[str, object]:
    return {"mediaType": "application/x", "digest": "sha256:" + fill * 64, "size": size}


def raw(**changes: object) -> bytes:
    document = {"schemaVersion": 2, "config": layer("c", 3), "layers": [layer("a", 10)]}
    return json.dumps({**document, **changes}).encode()


def test_digest_is_that_of_the_raw_bytes():
    spaced = raw().replace(b",", b" ,  ")
    assert manifest.parse(spaced).digest == hashlib.sha256(spaced).hexdigest()


def test_size_is_the_sum_of_layers_and_config():
    read = manifest.parse(raw(layers=[layer("a", 10), layer("b", 20), layer("a", 10)]))
    assert read.size == 43
    assert list(read.blobs.items()) == [
        ("sha256:" + "a" * 64, 10),
        ("sha256:" + "b" * 64, 20),
        ("sha256:" + "c" * 64, 3),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"\xff",
        b"[]",
        b"{}",
        raw(schemaVersion=1),
        raw(config=None),
        raw(layers=["x"]),
        raw(layers=5),
        raw(layers=[{**layer("a", 1), "digest": "sha256:../../etc"}]),
        raw(layers=[layer("A", 1)]),
        raw(layers=[layer("a", -1)]),
        raw(layers=[{**layer("a", 1), "size": "1"}]),
        raw(layers=[{**layer("a", 1), "size": True}]),
    ],
)
def test_what_is_no_manifest_is_refused(content):
    with pytest.raises(ValueError, match=r"\w"):
        manifest.parse(content)

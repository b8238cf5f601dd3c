# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, snapshots

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "previous", "staged"),
    [
        ("bge-m3", "bge-m3:latest-prev-0123456789ab", "bge-m3:latest-next-0123456789ab"),
        ("hf.co/a/B:Q4", "hf.co/a/B:Q4-prev-0123456789ab", "hf.co/a/B:Q4-next-0123456789ab"),
        (
            "x:7b-prev-aaaaaaaaaaaa",
            "x:7b-prev-aaaaaaaaaaaa-prev-0123456789ab",
            "x:7b-prev-aaaaaaaaaaaa-next-0123456789ab",
        ),
    ],
)
def test_version_is_named_after_its_model_and_digest(text, previous, staged):
    name = names.parse(text)
    assert snapshots.previous(name, DIGEST) == names.parse(previous)
    assert snapshots.staged(name, DIGEST) == names.parse(staged)
    for version in (snapshots.previous(name, DIGEST), snapshots.staged(name, DIGEST)):
        assert snapshots.origin_of(version) == name


def test_digest_is_taken_with_and_without_its_prefix():
    name = names.parse("x")
    assert snapshots.previous(name, f"sha256:{DIGEST}") == snapshots.previous(name, DIGEST)


@pytest.mark.parametrize(
    ("tag", "origin"),
    [
        ("7b", None),
        ("latest-prev", None),
        ("prev-0123456789ab", None),
        ("7b-prev-0123456789a", None),
        ("7b-prev-0123456789abc", None),
        ("7b-prev-instruct-v2", None),
        ("7b-next-0123456789ab", "7b"),
        ("7B-PREV-0123456789AB", "7B"),
    ],
)
def test_origin_is_read_from_the_tag(tag, origin):
    found = snapshots.origin_of(names.parse(f"me/x:{tag}"))
    assert found == (names.parse(f"me/x:{origin}") if origin else None)


def test_longest_tag_that_leaves_room_is_accepted():
    name = names.parse(f"x:{'t' * 62}")
    assert snapshots.origin_of(snapshots.previous(name, DIGEST)) == name


def test_tag_that_leaves_no_room_is_refused():
    with pytest.raises(Refused, match="Give the model a shorter tag"):
        snapshots.staged(names.parse(f"x:{'t' * 63}"), DIGEST)

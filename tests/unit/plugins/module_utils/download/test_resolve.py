# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import types

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download.identity import Identity
from ansible_collections.edgellm.host.plugins.module_utils.download.resolve import Part, part_of


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes 0-9/10", Part(0, 9, 10)),
        ("bytes 5-9/*", Part(5, 9, None)),
        (" Bytes 5-5/10 ", Part(5, 5, 10)),
        ("", None),
        ("bytes */10", None),
        ("bytes 9-5/10", None),
        ("bytes 5-10/10", None),
        ("bytes 5-/10", None),
        ("items 0-9/10", None),
        ("bytes -1-9/10", None),
        (f"bytes 0-{'9' * 5000}/*", None),
    ],
)
def test_content_range(text, part):
    assert part_of(types.SimpleNamespace(headers={"content-range": text})) == part


ONE = Identity("n/r/x", 10, "aa" * 32, "aa" * 32, "c1")


@pytest.mark.parametrize(
    ("other", "continues"),
    [
        (ONE, True),
        # Stated by the source, a hash is the same content in any commit and any repository.
        (Identity("n/fork/x", 10, "aa" * 32, "aa" * 32, "c2"), True),
        (Identity("n/r/x", 11, "aa" * 32, "aa" * 32, "c1"), False),
        (Identity("n/r/x", 10, "bb" * 32, "bb" * 32, "c1"), False),
        # A mirror has no version of its own, and the hash will tell.
        (Identity("n/r/x", 10, "aa" * 32, '"etag"'), True),
        (Identity("n/r/x", 10), False),
    ],
)
def test_identity_continues_only_itself(other, continues):
    assert ONE.continues(other) is continues
    assert other.continues(ONE) is continues


@pytest.mark.parametrize(
    ("one", "other", "continues"),
    [
        (Identity("u", 10, None, '"e"'), Identity("u", 10, None, '"e"'), True),
        (Identity("u", 10, None, '"e"'), Identity("u", 10, None, '"f"'), False),
        (Identity("u", 10, None, '"e"'), Identity("v", 10, None, '"e"'), False),
        (Identity("u", 10), Identity("u", 10), False),
        (Identity("u", 10, "aa" * 32), Identity("u", 10, "aa" * 32), True),
        (Identity("u", 10, "aa" * 32, '"e"'), Identity("u", 10, "aa" * 32, '"f"'), False),
    ],
)
def test_identity_without_a_stated_hash_belongs_to_its_source(one, other, continues):
    assert one.continues(other) is continues


def test_key_is_the_beginning_of_the_hash_or_made_of_the_rest():
    assert ONE.key == "a" * 12
    keys = {Identity("u", 10, None, version).key for version in ("e", "f", None)}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {12}

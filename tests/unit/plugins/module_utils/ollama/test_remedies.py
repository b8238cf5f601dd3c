# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama.remedies import remedy


@pytest.mark.parametrize(
    ("said", "helps"),
    [
        ("write /models/blobs/sha256-1-partial: no space left on device", "Free space on the disk"),
        (
            "digest mismatch, file must be downloaded again: want sha256:a, got sha256:b",
            "kept the others: run it again",
        ),
        ('digest mismatch, expected "sha256:a", got "sha256:b"', "correct the option"),
        ("pull model manifest: file does not exist", "Check the spelling"),
        ("pull model manifest: 412: \nThe model you are", "Raise ollama_server_image"),
        (
            'pull model manifest: Get "https://x/v2/": dial tcp: lookup x: no such host',
            "name a mirror in registry_mirror",
        ),
        ("file does not exist", "Is a mirror incomplete?"),
        ("max retries exceeded: unexpected EOF", "What was fetched is kept: run it again"),
    ],
)
def test_what_the_server_says_is_followed_by_what_helps(said, helps):
    assert remedy(said).startswith(". ")
    assert helps in remedy(said)


def test_what_nobody_can_help_is_left_as_it_is():
    assert remedy("supplied file was not in GGUF format") == ""

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama.printable import keep_printable


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain 日本語 e\u0301", "plain 日本語 e\u0301"),
        ("a\tb c", "a\tb c"),
        ("a\u00a0b\u3000c\u00add\u200de\x7f\ue000", "abcde"),
        # Of Unicode 14 and 15: every Python must do the same, or digests differ between hosts.
        ("\U0001fae0\U0001fae8\u061d\U000323af", "\U0001fae0\U0001fae8\u061d\U000323af"),
        ("\u0378\ufdd0\uffff", ""),
    ],
)
def test_what_cannot_be_printed_is_dropped(text, kept):
    assert keep_printable(text) == kept

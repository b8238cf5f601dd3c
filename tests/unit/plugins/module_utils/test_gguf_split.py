# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils import gguf_split
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused


@pytest.mark.parametrize(
    ("name", "all_of_them"),
    [
        ("x.gguf", ("x.gguf",)),
        ("a/x-00002-of-00002.gguf", ("a/x-00001-of-00002.gguf", "a/x-00002-of-00002.gguf")),
        ("x-00001-of-00001.gguf", ("x-00001-of-00001.gguf",)),
        ("x-1-of-2.gguf", ("x-1-of-2.gguf",)),
        ("x-00001-of-00002.gguf.part", ("x-00001-of-00002.gguf.part",)),
    ],
)
def test_names(name, all_of_them):
    assert gguf_split.names(name) == all_of_them


@pytest.mark.parametrize("name", ["x-00000-of-00002.gguf", "x-00003-of-00002.gguf"])
def test_name_that_cannot_be(name):
    with pytest.raises(Refused, match="cannot be part"):
        gguf_split.names(name)

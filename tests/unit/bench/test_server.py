# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from tests.bench import tools
from tests.bench.server import sent_in

LOG = """\
HEAD 302 0 /bench/file/resolve/main/file.gguf
GET 302 145 /bench/file/resolve/main/file.gguf
GET 206 1000 /files/file.gguf
GET 200 300 /files/file.gguf
GET 416 197 /files/file.gguf
"""


def test_bytes_of_the_file_count_and_those_of_other_answers_do_not():
    assert sent_in(LOG) == 1300


def test_packages_that_are_lacking_are_named():
    there = {"curl": "/usr/bin/curl", "sha256sum": "/usr/bin/sha256sum"}
    assert tools.lacking(there.get) == ["nginx-light", "aria2"]

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.plugin_utils import text


@pytest.mark.parametrize(
    ("string", "columns"),
    [
        ("abc", 3),
        ("日本語", 6),
        ("ｱｲｳ", 3),  # half-width
        ("ａｂ", 4),  # full-width
        ("か\u3099", 2),  # a combining mark takes no column
        ("𠮷", 2),  # beyond 16 bits
        ("a\u200bb", 2),
        ("", 0),
    ],
)
def test_width_counts_columns(string, columns):
    assert text.width(string) == columns


def test_padding_counts_columns():
    assert text.pad("日本", 6) == "日本  "
    assert text.pad("日本", 6, right=True) == "  日本"


@pytest.mark.parametrize(
    ("string", "columns", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("one two", 7, ["one two"]),
        ("one\n\ntwo\r\nx", 9, ["one", "", "two", "x"]),
        ("日本語日本語", 6, ["日本語", "日本語"]),
        ("日本語日本語", 7, ["日本語", "日本語"]),
        ("日本語です。次の文", 10, ["日本語で", "す。次の文"]),  # no line begins with 。
        ("日本語「です」", 8, ["日本語", "「です」"]),  # none ends with 「
        ("モデルはqwen2.5です", 10, ["モデルは", "qwen2.5で", "す"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("", 5, [""]),
    ],
)
def test_lines_are_broken_where_they_may_be(string, columns, lines):
    assert text.wrap(string, columns) == lines


@pytest.mark.parametrize("columns", range(2, 30))
def test_no_line_is_too_long_and_nothing_is_lost(columns):
    string = (
        "私は、ELYZA社の「Llama-3」です。ﾊﾝｶｸも𠮷野家も very-long-word-without-blanks あります！？"
    )
    lines = text.wrap(string, columns)
    assert max(text.width(line) for line in lines) <= columns
    assert "".join(lines).replace(" ", "") == string.replace(" ", "")


@pytest.mark.parametrize(
    ("string", "columns", "short"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "ab…ef"),
        ("abcdef", 4, "a…ef"),
        ("abcdef", 1, "…"),
        ("モデル.gguf", 9, "モデ…gguf"),
    ],
)
def test_what_is_too_long_loses_its_middle(string, columns, short):
    assert text.shortened(string, columns) == short


def test_terminal_commands_are_taken_out():
    assert text.wrap("\x1b[2Jred\x07\ttab", 40) == ["[2Jred  tab"]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (98_362_432, "98.4 MB"),
        (999_960_000, "1.0 GB"),
        (4_683_087_332, "4.7 GB"),
        (5_000_000_000_000_000, "5000.0 TB"),
        (None, "?"),
    ],
)
def test_sizes_are_decimal(count, words):
    assert text.size(count) == words


def test_table_is_aligned_by_columns():
    rows = [("日本語", "1"), ("abc", "100")]
    assert text.table(("Name", "Size"), rows, right="Size") == [
        "Name    Size",
        "日本語     1",
        "abc      100",
    ]

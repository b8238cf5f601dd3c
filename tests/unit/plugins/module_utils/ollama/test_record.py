# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama.record import Record

KEY = {"request": "r", "digest": "d", "server_version": "v"}


def test_pass_is_found_again(tmp_path):
    record = Record(str(tmp_path / "x.json"))
    record.write({"name": "x:latest", **KEY}, {"text": "日本語"}, passed=True)
    assert record.passed(KEY) == {"text": "日本語"}
    assert "日本語" in (tmp_path / "x.json").read_text(encoding="utf-8")
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("field", KEY)
def test_pass_of_something_else_is_none(tmp_path, field):
    record = Record(str(tmp_path / "x.json"))
    record.write(KEY, {"text": "a"}, passed=True)
    assert record.passed({**KEY, field: "other"}) is None


def test_failure_is_no_pass(tmp_path):
    record = Record(str(tmp_path / "x.json"))
    record.write(KEY, {"text": "a"}, passed=False)
    assert record.passed(KEY) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"passed": true}'])
def test_damaged_record_is_none(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert Record(str(tmp_path / "x.json")).passed({}) is None


def test_missing_record_is_none(tmp_path):
    assert Record(str(tmp_path / "no" / "x.json")).passed(KEY) is None

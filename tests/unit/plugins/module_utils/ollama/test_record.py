# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names
from ansible_collections.edgellm.host.plugins.module_utils.ollama.record import (
    Origin,
    OriginRecord,
    Record,
)

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


# --- where a model came from ---------------------------------------------------------------------

NAME = names.parse("x")
ORIGIN = Origin("s", "d", "g", "b", "0.24.0", "api")


def test_origin_is_found_again(tmp_path):
    record = OriginRecord(str(tmp_path / "x.json"))
    record.write(NAME, ORIGIN)
    assert record.read(NAME) == ORIGIN
    assert record.read(names.parse("X:latest")) == ORIGIN


def test_origin_of_another_model_is_none(tmp_path):
    record = OriginRecord(str(tmp_path / "x.json"))
    record.write(NAME, ORIGIN)
    assert record.read(names.parse("x:7b")) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"name": 1}'])
def test_damaged_origin_is_none(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert OriginRecord(str(tmp_path / "x.json")).read(NAME) is None


@pytest.mark.parametrize("field", ["name", "spec", "digest"])
def test_origin_with_a_hole_is_none(tmp_path, field):
    record = OriginRecord(str(tmp_path / "x.json"))
    record.write(NAME, ORIGIN)
    content = json.loads((tmp_path / "x.json").read_bytes())
    content[field] = None
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert record.read(NAME) is None
    del content[field]
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert record.read(NAME) is None


def test_origin_of_an_older_version_of_the_file_is_read(tmp_path):
    old = {"name": NAME.key, "spec": "s", "digest": "d", "gguf_sha256": "g", "server_version": "1"}
    (tmp_path / "x.json").write_text(json.dumps(old))
    found = OriginRecord(str(tmp_path / "x.json")).read(NAME)
    assert found == Origin("s", "d", gguf_sha256="g", server_version="1")


def test_forgotten_origin_is_none(tmp_path):
    record = OriginRecord(str(tmp_path / "x.json"))
    record.write(NAME, ORIGIN)
    record.forget()
    record.forget()
    assert record.read(NAME) is None

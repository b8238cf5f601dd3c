# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.edgellm.host.plugins.filter.modelfile import FilterModule

FILTERS = FilterModule().filters()
parse = FILTERS["modelfile_parse"]
render = FILTERS["modelfile_render"]
VECTORS = Path(__file__).resolve().parents[2] / "data" / "modelfile_vectors.ndjson"
CASES = [json.loads(line) for line in VECTORS.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: json.dumps(case["in"])[:60])
def test_golden_case(case):
    complaint = case.get("parse_err") or case.get("req_err")
    if complaint:
        with pytest.raises(AnsibleFilterError) as caught:
            parse(case["in"])
        assert complaint in str(caught.value)
        return
    read = parse(case["in"])
    assert read["commands"] == case["cmds"]
    expected = case["req"]
    if expected is not None:
        expected = {k: v for k, v in expected.items() if k not in ("model", "name")}
    assert read["request"] == expected
    assert parse(render(read))["commands"] == read["commands"]


def test_true_line_is_told():
    with pytest.raises(AnsibleFilterError, match=r"^edgellm.*: \(line 4\): .*\(line 2 of the text"):
        parse("FROM x\r\nSYSTEM\r\n")


def test_files_and_folder_may_be_told():
    assert parse("FROM x.gguf\n", digests={"x.gguf": "sha256:1"})["request"] == {
        "files": {"x.gguf": "sha256:1"}
    }
    with pytest.raises(AnsibleFilterError, match="stat /srv/y: no such file"):
        parse("FROM x\nADAPTER y\n", "/srv")


def test_deprecated_parameters_are_told():
    assert parse("FROM x\nPARAMETER mirostat 1\n")["deprecated"] == ["mirostat"]


def test_numbers_may_be_rendered():
    assert render([["model", "x"], ["num_ctx", 4096]]) == "FROM x\nPARAMETER num_ctx 4096\n"


@pytest.mark.parametrize("value", [None, 7, ["FROM"], [["a", "b", "c"]], {"commands": None}])
def test_what_is_no_list_of_commands_is_refused(value):
    with pytest.raises(AnsibleFilterError, match="a list of pairs"):
        render(value)


def test_what_no_modelfile_can_say_is_refused():
    with pytest.raises(AnsibleFilterError, match="no Modelfile can say"):
        render([["system", "a\u3000"]])


@pytest.mark.parametrize("value", [None, 7, ["FROM x"]])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(AnsibleFilterError, match="the text of a Modelfile is needed"):
        parse(value)

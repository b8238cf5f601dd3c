# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import modelfile
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import InvalidModelfile
from ansible_collections.edgellm.host.plugins.module_utils.ollama.modelfile import Command

VECTORS = Path(__file__).resolve().parents[3] / "data" / "modelfile_vectors.ndjson"
CASES = [json.loads(line) for line in VECTORS.read_text("utf-8").splitlines()]


def commands(text):
    return [(command.name, command.args) for command in modelfile.parse(text).commands]


def request(text, **options):
    return modelfile.request(modelfile.parse(text), **options)


def outcome(text):
    """What a case of the vectors says about the text."""
    try:
        read = modelfile.parse(text)
    except InvalidModelfile as error:
        return {"parse_err": str(error)}
    said = {"cmds": [[command.name, command.args] for command in read.commands]}
    try:
        return {**said, "req": modelfile.request(read)}
    except InvalidModelfile as error:
        return {**said, "req_err": str(error)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: json.dumps(case["in"])[:60])
def test_golden_case(case):
    expected = {key: case[key] for key in ("cmds", "req", "parse_err", "req_err") if key in case}
    if expected.get("req"):
        # Both mean nothing when they are empty.
        expected["req"] = {k: v for k, v in expected["req"].items() if k not in ("model", "name")}
    assert outcome(case["in"]) == expected


def test_all_golden_cases_are_there():
    assert len(CASES) == 46


# Seen with the parser of the real program (v0.24.0).
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM x", [("model", "x")]),
        ("FROM\tx\n", [("model", "x")]),
        ("from x\rFrOm y\r", [("model", "x"), ("model", "y")]),
        ("\u200bFROM x\n", [("model", "x")]),
        ("\ufeff\ufeffFROM x\n", [("model", "x")]),
        (" # FROM a\n\t#b\nFROM x\n#", [("model", "x")]),
        ("FROM \n", [("model", "")]),
        ("FROM x\nSYSTEM   \nLICENSE a", [("model", "x"), ("system", ""), ("license", "a")]),
        ('FROM x\nSYSTEM """"""\n', [("model", "x"), ("system", "")]),
        ('FROM x\nSYSTEM """a"""\n', [("model", "x"), ("system", "a")]),
        ('FROM x\nSYSTEM "a\n\n b "\n', [("model", "x"), ("system", "a\n\n b ")]),
        ('FROM x\nSYSTEM "a" b\nLICENSE c"\n', [("model", "x"), ("system", 'a" b\nLICENSE c')]),
        ('FROM x\nSYSTEM  "\n"\n', [("model", "x"), ("system", "\n")]),
        ('FROM x\nSYSTEM """a"\n"""\n', [("model", "x"), ("system", 'a"\n')]),
        ("FROM x\nSYSTEM a\u2028b\u0085c\n", [("model", "x"), ("system", "abc")]),
        ("FROM x\nSYSTEM a\x00b\x0bc\n", [("model", "x"), ("system", "abc")]),
        ("FROM x\nSYSTEM \U0001fae8\ufffd日\n", [("model", "x"), ("system", "\U0001fae8\ufffd日")]),
        ("FROM x\nPARAMETER stop  a\n", [("model", "x"), ("stop", "a")]),
        ("FROM x\nPARAMETER num_ctx\t1\n", [("model", "x"), ("num_ctx", "1")]),
        ("FROM x\nMESSAGE user \n", [("model", "x"), ("message", "user: ")]),
        ("FROM x\nMESSAGE system a: b\n", [("model", "x"), ("message", "system: a: b")]),
    ],
)
def test_odd_text_is_read_as_ollama_reads_it(text, expected):
    assert commands(text) == expected


@pytest.mark.parametrize(
    ("text", "complaint", "line"),
    [
        ("", "no FROM line", None),
        ("# FROM x\n", "no FROM line", None),
        ("FROM", "unexpected EOF", 1),
        ("FROM x\n\nFROM\n", "(line 4): command must be one of", 3),
        ("FROM x\r\n\r\nFROM\r\n", "(line 6): command must be one of", 3),
        ("FROM x\r\rBOGUS x", "(line 3): command must be one of", 3),
        ("FR\u200bOM x\n", "(line 1): command must be one of", 1),
        ("\u200b\u200bFROM x\n", "(line 1): command must be one of", 1),
        ("1FROM x\n", "(line 1): command must be one of", 1),
        ('FROM x\n"SYSTEM a"\n', "(line 2): command must be one of", 2),
        ('FROM x\nSYSTEM """a\nb""\n\n', "unexpected EOF", 2),
        ('FROM x\nSYSTEM """"\n', "unexpected EOF", 2),
        ("FROM x\nPARAMETER num-ctx 1\n", "unexpected EOF: num", 2),
        ("FROM x\nPARAMETER num_ctx", "unexpected EOF", 2),
        ("FROM x\nMESSAGE user\n", "unexpected EOF: user", 2),
        ("FROM x\r\nMESSAGE User a\n", "(line 3): message role must be one of", 2),
        ("FROM x\nMESSAGE user", "unexpected EOF", 2),
    ],
)
def test_complaint_is_ollamas_and_the_line_is_the_true_one(text, complaint, line):
    with pytest.raises(InvalidModelfile) as caught:
        modelfile.parse(text)
    assert str(caught.value).startswith(complaint)
    assert caught.value.line == line
    assert "(line" not in caught.value.complaint


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("FROM a\nSYSTEM \nTEMPLATE \nLICENSE \n", {"from": "a", "license": [""]}),
        ("FROM a\nLICENSE b\nLICENSE c\n", {"from": "a", "license": ["b", "c"]}),
        ("FROM a\nREQUIRES v1.2.3-rc.1+b\n", {"from": "a", "requires": "1.2.3-rc.1+b"}),
        ("FROM a\nREQUIRES 1.2\n", {"from": "a", "requires": "1.2"}),
        ("FROM a\nPARAMETER low_vram x\n", {"from": "a"}),
        (
            "FROM a\nPARAMETER top_k 1\nPARAMETER stop a\nPARAMETER top_k 2\nPARAMETER stop b\n",
            {"from": "a", "parameters": {"top_k": 2, "stop": ["a", "b"]}},
        ),
        ("FROM a\nPARAMETER temperature nan\n", None),
        ("FROM a\nPARAMETER temperature -inf\n", None),
    ],
)
def test_request(text, fields):
    assert request(text) == fields


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("REQUIRES ", "requires must be a valid semver (e.g. 0.14.0)"),
        ("REQUIRES 01.2.3", "requires must be a valid semver (e.g. 0.14.0)"),
        ("REQUIRES 1.2-rc", "requires must be a valid semver (e.g. 0.14.0)"),
        ("REQUIRES 1.2.3-01", "requires must be a valid semver (e.g. 0.14.0)"),
        ("REQUIRES 1.2.3+", "requires must be a valid semver (e.g. 0.14.0)"),
        ("REQUIRES vv1.2.3", "requires must be a valid semver (e.g. 0.14.0)"),
        ("PARAMETER top_k 1 2", "invalid int value [1 2]"),
        ("ADAPTER /a/../b.gguf", "stat /b.gguf: no such file or directory"),
        ("ADAPTER .", "no Modelfile or safetensors files found"),
        ("FROM ", "no Modelfile or safetensors files found"),
        ("FROM ..", "no Modelfile or safetensors files found"),
        ("FROM /", "no Modelfile or safetensors files found"),
        ("FROM ~nobody-has-this-name/x", "failed to find user 'nobody-has-this-name': user: unkn"),
    ],
)
def test_request_that_ollama_refuses_names_the_line(line, complaint):
    with pytest.raises(InvalidModelfile) as caught:
        request(f"# a\nFROM foo\n{line}\n")
    assert str(caught.value).startswith(complaint)
    assert caught.value.line == 3


def test_files_that_are_there_are_sent_by_their_digest():
    text = "FROM ./a/x.gguf\nADAPTER y.gguf\nDRAFT z.gguf\n"
    digests = {"./a/x.gguf": "sha256:1", "y.gguf": "sha256:2", "z.gguf": "sha256:3"}
    assert request(text, digests=digests) == {
        "files": {"x.gguf": "sha256:1"},
        "adapters": {"y.gguf": "sha256:2"},
        "draft_files": {"z.gguf": "sha256:3"},
    }


def test_folder_of_the_modelfile_is_told():
    with pytest.raises(InvalidModelfile, match="stat /srv/a/b: no such file"):
        request("FROM x\nADAPTER ./a/b\n", directory="/srv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_decoded_by_its_byte_order_mark(encoding):
    assert modelfile.decode("FROM x\nSYSTEM 日本\n".encode(encoding)) == "FROM x\nSYSTEM 日本\n"


def test_big_endian_mark_is_known():
    assert modelfile.decode("\ufeffFROM x".encode("utf-16-be")) == "FROM x"


def test_long_licence_takes_no_time():
    # Looking at the whole text at every line end would take minutes.
    body = "It is what it is.\n" * 100_000
    assert commands(f'FROM x\nLICENSE """{body}"""\n')[1] == ("license", body)


# --- rendering -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in CASES if "cmds" in case], ids=str)
def test_what_is_rendered_reads_the_same(case):
    read = modelfile.parse(case["in"]).commands
    assert modelfile.parse(modelfile.render(read)).commands == read


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (Command("model", "llama3.2"), "FROM llama3.2\n"),
        (Command("stop", "<|eot_id|>"), "PARAMETER stop <|eot_id|>\n"),
        (Command("stop", ""), "PARAMETER stop \n"),
        (Command("stop", " a"), 'PARAMETER stop " a"\n'),
        (Command("stop", '"'), 'PARAMETER stop """""""\n'),
        (Command("system", "a\nb"), 'SYSTEM "a\nb"\n'),
        (Command("system", 'a "b"\nc"'), 'SYSTEM """a "b"\nc""""\n'),
        (Command("system", '"a"'), 'SYSTEM ""a""\n'),
        (Command("message", "user: hi: you"), "MESSAGE user hi: you\n"),
        (Command("message", "user: a\n"), 'MESSAGE user "a\n"\n'),
    ],
)
def test_rendering_quotes_only_what_needs_it(command, text):
    assert modelfile.render([command]) == text


@pytest.mark.parametrize(
    "command",
    [
        Command("system", "a\u3000b"),
        Command("system", 'a"""\nb'),
        Command("bad-name", "x"),
        Command("message", "bot: x"),
    ],
)
def test_what_no_modelfile_can_say_is_refused(command):
    with pytest.raises(InvalidModelfile, match="no Modelfile can say"):
        modelfile.render([command])

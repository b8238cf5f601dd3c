# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, recipe

SHA = "a" * 64
PATH = "/srv/models/tiny/tiny.gguf"
WEIGHTS = recipe.Weights(PATH, SHA, 1000)
TEXT = "FROM /models/tiny/tiny.gguf\nPARAMETER temperature 0.7\n"


def make(text=TEXT, weights=WEIGHTS, name="tiny"):
    return recipe.make(names.parse(name), weights, text)


def test_request_names_the_file_by_its_digest():
    assert make(TEXT + "SYSTEM a\n").body() == {
        "model": "tiny:latest",
        "files": {"tiny.gguf": f"sha256:{SHA}"},
        "parameters": {"temperature": 0.7},
        "system": "a",
    }


def test_without_a_modelfile_it_is_the_weights_alone():
    assert make(None).body() == {
        "model": "tiny:latest",
        "files": {"tiny.gguf": f"sha256:{SHA}"},
    }


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n"),
        "# mine\n" + TEXT.lower().replace("parameter", "  PARAMETER").replace("0.7", "7e-1"),
        'PARAMETER temperature "0.7"\nFROM tiny.gguf',
    ],
)
def test_same_model_has_the_same_spec_however_it_is_written(text):
    assert make(text).spec == make().spec


def test_place_and_name_of_the_file_do_not_matter_to_the_spec():
    moved = recipe.Weights("/else/t.gguf", SHA, None)
    assert make("FROM t.gguf\nPARAMETER temperature 0.7\n", moved, "b").spec == make().spec


@pytest.mark.parametrize(
    "other",
    [
        make(TEXT.replace("0.7", "0.8")),
        make(TEXT + "SYSTEM a\n"),
        make(TEXT + "PARAMETER stop a\n"),
        make(weights=dataclasses.replace(WEIGHTS, sha256="b" * 64)),
    ],
)
def test_another_model_has_another_spec(other):
    assert other.spec != make().spec


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("FROM x.gguf\n", f"line 1: FROM x.gguf names another file; write 'FROM {PATH}'"),
        ("\nFROM llama3.2\n", "line 2: FROM llama3.2 names another file"),
        ("PARAMETER top_k 1\n", f"of tiny:latest: it has no FROM line; write 'FROM {PATH}'"),
        ("FROM tiny.gguf\nFROM b\n", "line 2: there is one FROM line already (line 1)"),
        ("FROM tiny.gguf\nADAPTER a\n", "line 2: ADAPTER names a second file"),
        ("FROM tiny.gguf\nDRAFT a\n", "line 2: DRAFT names a second file"),
        ("FROM tiny.gguf\nSYSTEM\n", "line 2: command must be one of"),
        ("FROM tiny.gguf\nPARAMETER seed x\n", "line 2: invalid int value [x]"),
        ("FROM tiny.gguf\nPARAMETER sede 1\n", "line 2: unknown parameter 'sede' (did you mean"),
        ("FROM tiny.gguf\nREQUIRES x\n", "line 2: requires must be a valid semver"),
        ("FROM tiny.gguf\nPARAMETER top_p inf\n", "a parameter that is no finite number"),
    ],
)
def test_mistake_is_told_with_its_line_and_the_remedy(text, complaint):
    with pytest.raises(Refused) as caught:
        make(text)
    assert complaint in str(caught.value)


def test_reserved_name_is_refused():
    with pytest.raises(Refused, match="cannot be created"):
        make(name="tiny:cloud")


def test_deprecated_parameter_is_left_out_with_a_warning():
    made = make(TEXT + "PARAMETER mirostat 1\n")
    assert made.spec == make().spec
    (warning,) = made.warnings
    assert warning.startswith("The Modelfile of tiny:latest, line 3: the parameter mirostat is dep")


@pytest.mark.parametrize("text", [SHA, f"sha256:{SHA}", SHA.upper()])
def test_sha256_may_be_written_in_any_way(text):
    assert recipe.parse_sha256(text) == SHA


@pytest.mark.parametrize("text", ["", "a" * 63, "g" * 64, "md5:" + "a" * 32])
def test_what_is_no_sha256_is_refused(text):
    with pytest.raises(Refused, match="64 hexadecimal digits"):
        recipe.parse_sha256(text)

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import compare, names, recipe

SHA = "a" * 64
TEXT = '''FROM x.gguf
TEMPLATE """{{ .System }}
{{ .Prompt }}"""
SYSTEM """be
kind"""
PARAMETER num_ctx 1048576
PARAMETER temperature 0.7
PARAMETER stop <|im_end|>
LICENSE one
LICENSE two
MESSAGE user hi
MESSAGE assistant yes
REQUIRES 0.14.0
'''
# As v0.24.0 shows it.
SHOWN = {
    "modelfile": (
        f"# FROM x:latest\n\nFROM /root/.ollama/models/blobs/sha256-{SHA}\n"
        'TEMPLATE "{{ .System }}\n{{ .Prompt }}"\nSYSTEM "be\nkind"\n'
        "PARAMETER num_ctx 1.048576e+06\n"
    ),
    "parameters": (
        "temperature                    0.7\n"
        "num_ctx                        1.048576e+06\n"
        'stop                           "<|im_end|>"'
    ),
    "template": "something that takes its place",
    "system": "be\nkind",
    "license": "one\ntwo",
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes"},
    ],
    "requires": "0.14.0",
    "details": {},
}


def made(text=TEXT):
    return recipe.make(names.parse("x"), recipe.Weights("/srv/x.gguf", SHA), text)


def same(shown, text=TEXT):
    return compare.live(shown, made(text), {}) == compare.wanted(made(text), {})


def test_model_as_created_is_the_same():
    assert same(SHOWN)


@pytest.mark.parametrize(
    "change",
    [
        {"system": ""},
        {"system": "be\r\nkind"},
        {"license": "one"},
        {"messages": []},
        {"requires": ""},
        {"parameters": ""},
        {"parameters": SHOWN["parameters"].replace("0.7", "0.1")},
        {"parameters": SHOWN["parameters"] + "\ntop_k                          1"},
        {"parameters": SHOWN["parameters"] + '\nstop                           "x"'},
        {"modelfile": SHOWN["modelfile"].replace(".Prompt", ".Other")},
    ],
)
def test_what_was_changed_by_hand_is_seen(change):
    assert not same({**SHOWN, **change})


def test_what_the_server_adds_by_itself_is_no_difference():
    detected = {
        "modelfile": f"FROM /m/sha256-{SHA}\nTEMPLATE chatml\nRENDERER r\nPARSER p\n",
        "parameters": 'stop                           "<|im_end|>"',
        "template": "chatml",
    }
    assert same(detected, "FROM x.gguf\n")


def test_renderer_and_parser_count_when_they_are_wanted():
    text = "FROM x.gguf\nRENDERER r\nPARSER p\n"
    assert same({"modelfile": f"FROM /m/sha256-{SHA}\nRENDERER r\nPARSER p\n"}, text)
    assert not same({"modelfile": f"FROM /m/sha256-{SHA}\nRENDERER r\n"}, text)


def test_modelfile_that_the_server_wrote_badly_is_no_failure():
    text = 'FROM x.gguf\nTEMPLATE {{ "a" }}\n'
    assert same({"modelfile": 'FROM x\nSYSTEM """', "template": '{{ "a" }}'}, text)


def test_weights_are_told_by_the_first_from():
    assert compare.weights_of(SHOWN) == SHA
    assert compare.weights_of({"modelfile": "FROM llama3.2\n"}) is None
    assert compare.weights_of({}) is None

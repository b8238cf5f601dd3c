# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import parameters
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import InvalidParameter


# Seen with the parser of the real program (v0.24.0).
@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("num_ctx", "+1", 1),
        ("num_ctx", "-007", -7),
        ("seed", "9223372036854775807", 2**63 - 1),
        ("seed", "-9223372036854775808", -(2**63)),
        ("seed", "000000000000000000000000012", 12),
        ("temperature", "1", 1.0),
        ("temperature", "5.", 5.0),
        ("temperature", "-.5E1", -5.0),
        ("temperature", "0.1", 0.1),
        ("temperature", "0.123456789", 0.12345679),
        ("temperature", "16777217", 16777216.0),
        # Half way between two singles, and a hair above: rounding twice gives the wrong one.
        ("temperature", "1.000000059604644775390625", 1.0),
        ("temperature", "1.00000005960464477539062500000001", 1.0000001),
        ("temperature", "3.4028235e38", 3.4028235e38),
        ("temperature", "3.40282356e38", 3.4028235e38),
        ("temperature", "1e-46", 0.0),
        ("temperature", "1.4e-45", 1e-45),
        ("temperature", "0x1p-2", 0.25),
        ("temperature", "-0X_1.8p1", -3.0),
        ("temperature", "4_096.0", 4096.0),
        ("temperature", "1e-99999999999999999999", 0.0),
        ("temperature", "+Infinity", float("inf")),
        ("use_mmap", "T", True),
        ("use_mmap", "0", False),
        ("stop", "", [""]),
        ("stop", "1", ["1"]),
    ],
)
def test_value_is_what_ollama_reads(name, text, value):
    read = parameters.convert(name, text)
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("num_ctx", "4_096", "invalid int value [4_096]"),
        ("num_ctx", "1e3", "invalid int value [1e3]"),
        ("num_ctx", "１", "invalid int value [１]"),
        ("num_ctx", "", "invalid int value []"),
        ("seed", "9223372036854775808", "invalid int value [9223372036854775808]"),
        ("seed", "9" * 5000, "invalid int value [999"),
        ("temperature", "", "invalid float value []"),
        ("temperature", ".", "invalid float value [.]"),
        ("temperature", "e1", "invalid float value [e1]"),
        ("temperature", "1__0", "invalid float value [1__0]"),
        ("temperature", "1_", "invalid float value [1_]"),
        ("temperature", "1e_5", "invalid float value [1e_5]"),
        ("temperature", "0x10", "invalid float value [0x10]"),
        ("temperature", "+nan", "invalid float value [+nan]"),
        ("temperature", "1e39", "invalid float value [1e39]"),
        ("temperature", "3.4028236e38", "invalid float value [3.4028236e38]"),
        ("temperature", "1e99999999999999", "invalid float value [1e99999999999999]"),
        ("use_mmap", "tRUE", "invalid bool value [tRUE]"),
        ("mirostat", "1", "unknown parameter 'mirostat'"),
        ("Temperature", "1", "unknown parameter 'Temperature'"),
    ],
)
def test_what_ollama_does_not_read_is_refused_in_its_words(name, text, complaint):
    with pytest.raises(InvalidParameter) as caught:
        parameters.convert(name, text)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("temprature", "did you mean 'temperature'?"), ("STOP", "did you mean 'stop'?"), ("zzz", "")],
)
def test_close_name_is_suggested(name, hint):
    with pytest.raises(InvalidParameter) as caught:
        parameters.convert(name, "1")
    assert caught.value.hint == hint


SHOWN = r"""num_ctx                        1.048576e+06
stop                           "<|im_start|>"
temperature                    0.7
stop                           "a\"b\\c\n\t\u3000\U000e0001\x00é"
use_mmap                       true
seed                           -1
odd                            map[string]interface {}{}"""


def test_shown_text_is_read():
    assert parameters.read_shown(SHOWN) == {
        "num_ctx": [1048576],
        "stop": ["<|im_start|>", 'a"b\\c\n\t\u3000\U000e0001\x00é'],
        "temperature": [0.7],
        "use_mmap": [True],
        "seed": [-1],
        "odd": ["map[string]interface {}{}"],
    }
    assert parameters.read_shown("") == {}


def test_bytes_that_are_no_text_do_not_stop_the_reading():
    assert parameters.unquote(r'"a\xff\xe3\x81\x82"') == "a\ufffdあ"


@pytest.mark.parametrize(
    ("shown", "wanted", "equal"),
    [
        ({"temperature": [0.7]}, {"temperature": 0.7}, True),
        ({"temperature": [0.699999988079071]}, {"temperature": 0.7}, True),
        ({"temperature": [0.70001]}, {"temperature": 0.7}, False),
        ({"temperature": [1]}, {"temperature": 1.0}, True),
        ({"temperature": ["0.7"]}, {"temperature": 0.7}, False),
        ({"num_ctx": [1048576]}, {"num_ctx": 1048576}, True),
        ({"num_ctx": [16777216]}, {"num_ctx": 16777217}, False),
        ({"seed": [9007199254740992]}, {"seed": 9007199254740993}, True),
        ({"use_mmap": [True]}, {"use_mmap": True}, True),
        ({"use_mmap": [1]}, {"use_mmap": True}, False),
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}, True),
        ({"stop": ["b", "a"]}, {"stop": ["a", "b"]}, False),
        ({"stop": ["a"]}, {}, True),
        ({"top_k": [1]}, {}, False),
        ({}, {"top_k": 1}, False),
        ({"top_k": [1, 1]}, {"top_k": 1}, False),
    ],
)
def test_equal_values_are_equal_however_they_are_shown(shown, wanted, equal):
    assert (parameters.normalise(shown, wanted) == wanted) is equal

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import (
    answer,
    names,
    probe,
    record,
)
from ansible_collections.edgellm.host.plugins.module_utils.ollama.answer import Request
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Installed

HERE = Installed(names.parse("x"), "1" * 64, 77)
CHAT, EMBED, BOTH = (("completion",), ("embedding",), ("completion", "embedding"))


def request(**changes):
    return Request(names.parse("x"), **{"prompt": "hello", **changes})


@pytest.mark.parametrize(
    ("kind", "capabilities", "sent"),
    [
        ("auto", CHAT, "chat"),
        ("auto", EMBED, "embed"),
        ("auto", BOTH, "chat"),
        ("auto", ("completion", "tools", "thinking"), "chat"),
        ("chat", BOTH, "chat"),
        ("embed", BOTH, "embed"),
        ("generate", CHAT, "generate"),
    ],
)
def test_kind_follows_from_what_the_model_can_do(kind, capabilities, sent):
    decision = probe.decide(request(kind=kind), probe.State(HERE, capabilities=capabilities))
    assert decision == probe.Decision(kind=sent)


@pytest.mark.parametrize(
    ("changes", "state", "complaint"),
    [
        ({}, probe.State(None), "not installed"),
        ({"kind": "chat"}, probe.State(HERE, capabilities=EMBED), "it can: embedding"),
        ({"kind": "embed"}, probe.State(HERE, capabilities=CHAT), "it can: completion"),
        ({}, probe.State(HERE, capabilities=()), "it can: nothing"),
        ({"expect": "x"}, probe.State(HERE, capabilities=EMBED), "expect has no meaning"),
        (
            {"system": "x", "format": {"type": "object"}},
            probe.State(HERE, capabilities=EMBED),
            "system, format has no meaning",
        ),
        ({"kind": "generate"}, probe.State(HERE, capabilities=EMBED), "it can: embedding"),
        (
            {"expect_language": "ja"},
            probe.State(HERE, capabilities=EMBED),
            "by embedding, where expect_language has no meaning",
        ),
        (
            {"dimensions": 3},
            probe.State(HERE, capabilities=CHAT),
            "by an answer in words, where dimensions has no meaning",
        ),
    ],
)
def test_request_that_the_model_cannot_answer_is_refused(changes, state, complaint):
    with pytest.raises(Refused, match=complaint):
        probe.decide(request(**changes), state)


def test_recorded_pass_is_handed_back():
    assert probe.decide(request(), probe.State(HERE, {"text": "a"})).recorded == {"text": "a"}


@pytest.mark.parametrize(
    ("shown", "capabilities"),
    [
        ({"capabilities": ["completion", "tools"]}, ("completion", "tools")),
        ({"capabilities": []}, ()),
        ({"model_info": {"llama.block_count": 30}}, ("completion",)),
        ({"model_info": {"bert.pooling_type": 2}}, ("embedding",)),
        ({}, ("completion",)),
    ],
)
def test_capabilities_are_read_from_old_servers_too(shown, capabilities):
    assert probe.capabilities(shown) == capabilities


def chat(text="hello", eval_count=3):
    return {"text": text, "eval_count": eval_count}


def placed(size, size_vram, **result):
    return {
        **result,
        "size": size,
        "size_vram": size_vram,
        "processor": answer.processor(size or 0, size_vram or 0),
        "gpu_share": answer.gpu_share(size or 0, size_vram or 0),
    }


@pytest.mark.parametrize(
    ("changes", "result", "complaint"),
    [
        ({}, chat(), None),
        ({}, chat("  \n"), "empty"),
        ({"min_tokens": 3}, chat(), None),
        ({"min_tokens": 4}, chat(), "3 tokens, not 4"),
        ({"min_tokens": 1}, chat(eval_count=None), "None tokens"),
        ({"expect": "^h.*o$"}, chat(), None),
        ({"expect": "日本"}, chat("ここは日本です"), None),
        ({"expect": "日本"}, chat(), "does not match '日本': 'hello'"),
        ({"format": {"type": "object"}}, chat('{"a": 1}'), None),
        ({"format": {"type": "object"}}, chat('{"a": 1'), "not the JSON"),
        ({"format": "json"}, chat("[1]"), None),
        ({"format": "json"}, chat("Sure: {}"), "not the JSON"),
        ({"expect_language": "ja"}, chat("富士山です。"), None),
        ({"expect_language": "ja"}, chat(), "is not Japanese but 100% Latin: 'hello'"),
        # The keys are in the language of the schema, and say nothing about the answer.
        (
            {"expect_language": "ja", "format": "json"},
            chat('{"name of the mountain": "富士山です", "also known": [["ふじ", 1], null]}'),
            None,
        ),
        (
            {"expect_language": "ja", "format": "json"},
            chat('{"山です": "Fuji"}'),
            "is not Japanese but 100% Latin",
        ),
    ],
)
def test_chat_is_judged(changes, result, complaint):
    said = probe.judge(request(**changes), "chat", result)
    assert said is None if complaint is None else complaint in said


@pytest.mark.parametrize(("dimensions", "passes"), [(576, True), (0, False), (None, False)])
def test_embedding_is_judged(dimensions, passes):
    assert (probe.judge(request(), "embed", {"dimensions": dimensions}) is None) is passes


@pytest.mark.parametrize(
    ("dimensions", "complaint"), [(None, None), (576, None), (1024, "576 dimensions, not 1024")]
)
def test_length_of_the_embedding_is_judged(dimensions, complaint):
    said = probe.judge(request(dimensions=dimensions), "embed", {"dimensions": 576})
    assert said is None if complaint is None else complaint in said


WANTED = "of it must be in GPU memory (require_gpu), but"


@pytest.mark.parametrize(
    ("share", "size", "size_vram", "complaint"),
    [
        (0, 100, 0, None),
        (0, None, None, None),
        (100, 100, 100, None),
        (63, 100, 63, None),
        (64, 100, 63, f"at least 64% {WANTED} 63% is: 63 of 100 bytes (37% CPU / 63% GPU)."),
        (1, 100, 0, f"at least 1% {WANTED} 0% is: 0 of 100 bytes (100% CPU)."),
        (100, 1_000_000, 999_999, f"at least 100% {WANTED} 99.9% is: 999999 of 1000000 bytes"),
        (100, 0, 0, f"at least 100% {WANTED} the server's numbers say nothing: 0 of 0 bytes"),
        (1, 100, 101, f"at least 1% {WANTED} the server's numbers say nothing: 101 of 100"),
        (100, None, None, f"at least 100% {WANTED} the server has unloaded it already"),
    ],
)
@pytest.mark.parametrize("kind", ["chat", "generate", "embed"])
def test_place_of_the_model_is_judged(kind, share, size, size_vram, complaint):
    result = placed(size, size_vram, **chat(), dimensions=3)
    said = probe.judge(request(require_gpu=share), kind, result)
    assert said is None if complaint is None else said.startswith(complaint)


@pytest.mark.parametrize(
    ("value", "share"),
    [
        (None, 0),
        (False, 0),
        (0, 0),
        (True, 100),
        (100, 100),
        (80, 80),
        # As templates and the command line give them.
        ("80", 80),
        ("True", 100),
        ("no", 0),
    ],
)
def test_share_is_a_percentage_or_all_or_none(value, share):
    assert probe.parse_share(value) == share


@pytest.mark.parametrize("value", [101, -1, 0.5, "half", "", [80], "80%"])
def test_share_that_is_none_is_refused(value):
    with pytest.raises(Refused, match=r"require_gpu is .* from 0 to 100\."):
        probe.parse_share(value)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        ("json", "json"),
        ({"type": "object"}, {"type": "object"}),
        ('{"type": "object"}', {"type": "object"}),
    ],
)
def test_format_is_a_schema_or_json(value, wanted):
    assert probe.parse_format(value) == wanted


@pytest.mark.parametrize("value", ["yaml", "", "{", 1, ["json"]])
def test_other_format_is_refused(value):
    with pytest.raises(Refused, match="format is"):
        probe.parse_format(value)


def test_expectation_that_cannot_be_read_is_refused():
    with pytest.raises(Refused, match="regular expression"):
        probe.check(request(expect="("))


def test_record_without_its_folder_is_refused(tmp_path):
    with pytest.raises(Refused, match="does not exist"):
        probe.check(request(), record.Record(str(tmp_path / "no" / "x.json")))

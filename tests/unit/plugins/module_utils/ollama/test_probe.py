# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, probe, record
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
    ],
)
def test_chat_is_judged(changes, result, complaint):
    said = probe.judge(request(**changes), "chat", result)
    assert said is None if complaint is None else complaint in said


@pytest.mark.parametrize(("dimensions", "passes"), [(576, True), (0, False), (None, False)])
def test_embedding_is_judged(dimensions, passes):
    assert (probe.judge(request(), "embed", {"dimensions": dimensions}) is None) is passes


def test_expectation_that_cannot_be_read_is_refused():
    with pytest.raises(Refused, match="regular expression"):
        probe.check(request(expect="("))


def test_record_without_its_folder_is_refused(tmp_path):
    with pytest.raises(Refused, match="does not exist"):
        probe.check(request(), record.Record(str(tmp_path / "no" / "x.json")))

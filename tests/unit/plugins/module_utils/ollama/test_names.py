# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import InvalidName

HUB = "registry.ollama.ai"


@pytest.mark.parametrize(
    ("text", "full", "short"),
    [
        ("bge-m3", f"{HUB}/library/bge-m3:latest", "bge-m3:latest"),
        ("qwen2.5:7b-instruct", f"{HUB}/library/qwen2.5:7b-instruct", "qwen2.5:7b-instruct"),
        ("me/mine", f"{HUB}/me/mine:latest", "me/mine:latest"),
        # One slash is a namespace, however much it looks like a host.
        ("hf_co/mine", f"{HUB}/hf_co/mine:latest", "hf_co/mine:latest"),
        ("hf.co/a/B-GGUF:Q4_K_M", "hf.co/a/B-GGUF:Q4_K_M", "hf.co/a/B-GGUF:Q4_K_M"),
        (
            "localhost:5000/library/x",
            "localhost:5000/library/x:latest",
            "localhost:5000/library/x:latest",
        ),
        (f"{HUB}/library/x:y", f"{HUB}/library/x:y", "x:y"),
        ("Registry.Ollama.AI/Library/X:y", "Registry.Ollama.AI/Library/X:y", "X:y"),
        ("_x:_y", f"{HUB}/library/_x:_y", "_x:_y"),
        ("x" * 80, f"{HUB}/library/{'x' * 80}:latest", f"{'x' * 80}:latest"),
    ],
)
def test_name_is_completed_as_the_server_does(text, full, short):
    name = names.parse(text)
    assert (name.full, name.short) == (full, short)
    assert names.parse(name.short).key == name.key == names.parse(name.full).key


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("bge-m3", "bge-m3:latest", True),
        ("BGE-M3", "bge-m3:LATEST", True),
        ("library/bge-m3", "registry.ollama.ai/library/bge-m3:latest", True),
        ("qwen2.5", "qwen2.5-coder", False),
        ("qwen2.5:7b", "qwen2.5:7b-instruct", False),
        ("llama2", "llama2:13b", False),
        ("me/x", "x", False),
    ],
)
def test_names_are_compared_by_their_key(one, other, same):
    assert (names.parse(one).key == names.parse(other).key) is same


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("x:", "the tag is empty"),
        (":x", "the model is empty"),
        ("/x", "the namespace is empty"),
        ("/a/x", "the host is empty"),
        ("host//x", "the namespace is empty"),
        ("a b", "the model 'a b'"),
        ("-x", "the model '-x'"),
        ("x:.y", "the tag '.y'"),
        ("my.name/x", "the namespace 'my.name'"),
        ("a/b/c/d", "the host 'a/b'"),
        ("x:y:z", "the model 'x:y'"),
        ("日本語", "the model '日本語'"),
        ("x\n", r"the model 'x\n'"),
        ("x" * 81, "at most 80"),
        (f"{'h' * 351}/n/m", "at most 350"),
        ("https://hf.co/a/b", "without 'https://'"),
        ("http://198.51.100.1/library/x", "registry_mirror"),
        (f"x@sha256:{'0' * 64}", "option digest"),
    ],
)
def test_invalid_name_is_refused_with_what_is_wrong(text, complaint):
    with pytest.raises(InvalidName) as caught:
        names.parse(text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reserved"),
    [
        ("gpt-oss:120b-cloud", True),
        ("x:cloud", True),
        ("x:Local", True),
        ("x:clouds", False),
        ("cloud:7b", False),
    ],
)
def test_tags_that_the_server_takes_for_a_switch_are_known(text, reserved):
    assert names.is_reserved(names.parse(text)) is reserved


def test_digest_is_taken_with_and_without_its_prefix():
    assert names.parse_digest("sha256:" + "AB" * 32) == names.parse_digest("ab" * 32) == "ab" * 32
    assert names.parse_digest(None) is None


@pytest.mark.parametrize("text", ["", "ab", "sha512:" + "a" * 64, "g" * 64])
def test_digest_that_is_none_is_refused(text):
    with pytest.raises(Refused, match="64 hexadecimal digits"):
        names.parse_digest(text)

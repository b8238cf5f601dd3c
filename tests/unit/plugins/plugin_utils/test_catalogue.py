# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.plugin_utils import catalogue
from ansible_collections.edgellm.host.plugins.plugin_utils.catalogue import Probe, Spec

PATH = Path("models/tiny/model.yml")
FULL = """\
---
name: tiny:1b
description: A tiny model.
source:
  registry: example.com/some/tiny:1b
probe:
  kind: chat
  prompt: 山の高さは。
  system: 日本語で。
"""


def test_spec_is_read_whole():
    assert catalogue.parse(FULL, PATH) == Spec(
        name="tiny:1b",
        source={"registry": "example.com/some/tiny:1b"},
        folder="tiny",
        description="A tiny model.",
        probe=Probe("chat", "山の高さは。", "日本語で。"),
    )


def test_source_is_enough():
    spec = catalogue.parse("source: {registry: a}", PATH)
    assert spec == Spec(name="tiny", source={"registry": "a"}, folder="tiny")
    assert spec.to_result()["probe"] == {"kind": "auto", "prompt": None, "system": None}


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("", 1, "the file is empty"),
        ("[]", 1, "the file must hold keys, not a list"),
        ("tiny", 1, "the file must hold keys, not text"),
        ("name: tiny\n", 1, "'source' is missing"),
        ("source: {registry: a}\nsize: 1\n", 2, "unknown key 'size' (known keys are name, "),
        ("source:\n  registri: a\n", 2, "unknown key 'source.registri' (did you mean 'registry'?)"),
        ("source: {}\n", 1, "'source' needs 'registry', exactly one"),
        ("source: bge-m3\n", 1, "'source' must hold keys, not text"),
        ("source: {registry: a}\nname: 7\n", 2, "'name' must be text, not a number (put it in "),
        ("source: {registry: a}\nname: no\n", 2, "'name' must be text, not yes or no (put it in "),
        ("source: {registry: a}\nname:\n", 2, "'name' must be text, not nothing"),
        ("source: {registry: a}\nname: [a]\n", 2, "'name' must be text, not a list"),
        ("source: {registry: a}\nname: ' '\n", 2, "'name' is empty; leave the key out"),
        ("source: {registry: a}\nname: a b\n", 2, "Invalid model name 'a b'"),
        ("source:\n  registry: http://a/b\n", 2, "Invalid model name 'http://a/b'"),
        ("source: {registry: a}\nname: a\nname: b\n", 3, "'name' is there twice"),
        ("source: {registry: a}\n7: b\n", 2, "unknown key '7'"),
        ("source: {registry: a}\n[1]: b\n", 2, "a key of the file must be text"),
        (
            "source: {registry: a}\nprobe:\n  kind: ask\n",
            3,
            "'probe.kind' must be one of auto, chat, embed, not 'ask'",
        ),
        ("source: {registry: a}\nprobe:\n  prompt: !vault x\n", 3, "a value with the tag !vault"),
        ("source:\n  registry: 'a\n", 3, "not valid YAML"),
        ("source: {registry: a}\n---\n", 2, "not valid YAML"),
    ],
)
def test_faults_are_told_with_file_and_line(text, line, complaint):
    with pytest.raises(Refused) as caught:
        catalogue.parse(text, PATH)
    assert str(caught.value).startswith(f"{PATH}:{line}: ")
    assert complaint in str(caught.value)


def test_folder_that_is_no_model_name_needs_one_in_the_file():
    with pytest.raises(Refused, match="without 'name' the folder's name is the model's"):
        catalogue.parse("source: {registry: a}", Path("models/my model/model.yml"))


@pytest.fixture
def write(tmp_path):
    def write(folder: str, text: str, directory: str = "own") -> Path:
        path = tmp_path / directory / folder / "model.yml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return path

    return write


def names_of(specs):
    return [spec.name for spec in specs]


def test_entries_are_folders_or_registry_names(write, tmp_path):
    write("tiny", FULL)
    loaded = catalogue.load([tmp_path / "own"])
    specs = catalogue.select(["llama3.2:3b", "tiny", "hf.co/a/b:Q4"], loaded)
    assert names_of(specs) == ["llama3.2:3b", "tiny:1b", "hf.co/a/b:Q4"]
    assert specs[0] == Spec(name="llama3.2:3b", source={"registry": "llama3.2:3b"})


@pytest.mark.parametrize("entry", ["tiny", "tiny:1b", "TINY:1B", "library/tiny:1b"])
def test_models_own_name_finds_its_spec(write, tmp_path, entry):
    write("tiny", FULL)
    (spec,) = catalogue.select([entry], catalogue.load([tmp_path / "own"]))
    assert spec.folder == "tiny"


def test_other_tag_of_a_folder_is_a_registry_name(write, tmp_path):
    write("tiny", FULL)
    (spec,) = catalogue.select(["tiny:7b"], catalogue.load([tmp_path / "own"]))
    assert (spec.folder, spec.source) == (None, {"registry": "tiny:7b"})


def test_same_model_asked_twice_is_told_once(write, tmp_path):
    write("tiny", FULL)
    loaded = catalogue.load([tmp_path / "own"])
    specs = catalogue.select(["tiny", "a", "tiny:1b", "a:latest"], loaded)
    assert names_of(specs) == ["tiny:1b", "a"]


def test_own_folder_hides_the_shipped_one(write, tmp_path):
    write("tiny", FULL)
    write("tiny", "source: {registry: b}", "shipped")
    write("else", "source: {registry: c}", "shipped")
    loaded = catalogue.load([tmp_path / "own", tmp_path / "missing", tmp_path / "shipped"])
    assert {folder: spec.source["registry"] for folder, spec in loaded.items()} == {
        "tiny": "example.com/some/tiny:1b",
        "else": "c",
    }


def test_own_model_of_the_same_name_comes_first(write, tmp_path):
    write("mine", "{name: tiny, source: {registry: mine}}")
    write("tiny", "source: {registry: shipped}", "shipped")
    loaded = catalogue.load([tmp_path / "own", tmp_path / "shipped"])
    assert catalogue.select(["tiny:latest"], loaded)[0].folder == "mine"
    with pytest.raises(Refused, match="'mine' and 'tiny' are two different models"):
        catalogue.select(["mine", "tiny"], loaded)


def test_two_folders_with_one_name_are_refused(write, tmp_path):
    write("a", "{name: x, source: {registry: a}}")
    write("b", "{name: x:latest, source: {registry: b}}")
    with pytest.raises(Refused, match="'a' and 'b' both have the name"):
        catalogue.load([tmp_path / "own"])


def test_folder_without_a_spec_is_refused(tmp_path):
    (tmp_path / "own/tiny").mkdir(parents=True)
    with pytest.raises(Refused, match=r"folder of the catalogue without model\.yml"):
        catalogue.select(["tiny"], {}, [tmp_path / "own"])


@pytest.mark.parametrize("entry", ["", "a b", "../tiny", "/etc", "ollama pull x"])
def test_entry_that_is_neither_is_refused(tmp_path, entry):
    with pytest.raises(Refused):
        catalogue.select([entry], {}, [tmp_path])


def test_changed_file_is_read_again(write, tmp_path):
    path = write("tiny", FULL)
    assert catalogue.load([tmp_path / "own"])["tiny"].name == "tiny:1b"
    path.write_text(FULL.replace("tiny:1b\n", "tiny:22b\n", 1))
    assert catalogue.load([tmp_path / "own"])["tiny"].name == "tiny:22b"


def test_file_that_is_not_utf8_is_refused(write, tmp_path):
    path = write("tiny", "")
    path.write_bytes("description: 山".encode("shift_jis"))
    with pytest.raises(Refused, match="Save the file as UTF-8"):
        catalogue.load([tmp_path / "own"])


def test_shipped_catalogue_is_valid():
    shipped = Path(__file__).resolve().parents[4] / "models"
    assert {spec.name for spec in catalogue.load([shipped]).values()} >= {
        "bge-m3",
        "qwen2.5:7b-instruct",
        "elyza-jp-8b",
        "smollm2:135m",
    }

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import modelfile
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


def from_registry(name, digest=None):
    return {"registry": name, "digest": digest, "gguf": None, "from": None}


def test_spec_is_read_whole():
    expected = Spec(
        name="tiny:1b",
        source=from_registry("example.com/some/tiny:1b"),
        folder="tiny",
        description="A tiny model.",
        probe=Probe("chat", "山の高さは。", "日本語で。"),
    )
    assert catalogue.parse(FULL, PATH) == (expected, None)


def test_source_is_enough():
    spec, _modelfile = catalogue.parse("source: {registry: a}", PATH)
    assert spec == Spec(name="tiny", source=from_registry("a"), folder="tiny")
    assert spec.to_result()["modelfile"] is None
    said = spec.to_result()["probe"]
    assert said.pop("kind") == "auto"
    assert set(said.values()) == {None}


def test_registry_model_may_be_pinned():
    text = f"source: {{registry: a, digest: 'sha256:{'AB' * 32}'}}"
    assert catalogue.parse(text, PATH)[0].source == from_registry("a", digest="ab" * 32)


def test_probe_takes_what_the_module_takes():
    text = """\
source: {registry: a}
probe:
  kind: generate
  prompt: a
  system: b
  format: {type: object, required: [a], properties: {a: {type: [string, "null"]}}}
  expect: ^a
  expect_language: ja
  min_tokens: 10
  require_gpu: true
"""
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": ["string", "null"]}},
    }
    assert catalogue.parse(text, PATH)[0].probe == Probe(
        "generate", "a", "b", schema, "^a", "ja", 10, None, True
    )
    embed = "source: {registry: a}\nprobe: {kind: embed, dimensions: 1024, require_gpu: 80}"
    said = catalogue.parse(embed, PATH)[0].probe
    assert (said.dimensions, said.require_gpu) == (1024, 80)


GGUF = """\
source:
  gguf:
    repo: lab/tiny-GGUF
    file: q4/tiny-q4.gguf
    size: 1000
modelfile: Modelfile
"""


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("", 1, "the file is empty; at least 'source' must be there"),
        ("[]", 1, "the file must hold keys, not a list"),
        ("tiny", 1, "the file must hold keys, not text"),
        ("name: tiny\n", 1, "'source' is missing"),
        ("source: {registry: a}\nsize: 1\n", 2, "unknown key 'size' (known keys are name, "),
        ("source:\n  registri: a\n", 2, "unknown key 'source.registri' (did you mean 'registry'?)"),
        ("source: {}\n", 1, "'source' needs 'registry', 'gguf' or 'from', exactly one"),
        ("source:\n  registry: a\n  gguf: {}\n", 3, "'source.gguf.file' is missing"),
        ("source:\n  registry: a\n  gguf: {url: 'https://a/x', file: x.gguf}\n", 2, "exactly one"),
        ("source:\n  gguf: {file: x.gguf}\n", 2, "'source.gguf' needs 'repo' or 'url'"),
        ("source:\n  gguf: {repo: a/b}\n", 2, "'source.gguf.file' is missing"),
        ("source: {gguf: {file: x.gguf,\n repo: b}}\n", 2, "is written owner/name, not 'b'"),
        ("source: {gguf: {repo: a/b,\n file: x.bin}}\n", 2, "path of a .gguf file"),
        ("source: {gguf: {repo: a/b,\n file: ../x.gguf}}\n", 2, "path of a .gguf file"),
        (
            "source: {gguf: {repo: a/b,\n file: x-00001-of-00002.gguf}}\n",
            2,
            "x-00001-of-00002.gguf is one of 2 files of a split model, and Ollama gets",
        ),
        ("source: {gguf: {repo: a/b, file: x.gguf,\n mirrors: x}}\n", 2, "a list of addresses"),
        ("source: {gguf: {repo: a/b, file: x.gguf,\n mirrors: [lan/x]}}\n", 2, "begins with http"),
        ("source: {gguf: {repo: a/b,\n file: x-00003-of-00002.gguf}}\n", 2, "cannot be part 3"),
        ("source: {gguf: {file: x.gguf,\n url: hf.co/x}}\n", 2, "begins with https://"),
        ("source: {gguf: {repo: a/b, file: x.gguf,\n sha256: AB}}\n", 2, "64 digits"),
        ("source: {gguf: {repo: a/b, file: x.gguf,\n size: 0}}\n", 2, "a whole number above 0"),
        ("source: {gguf: {repo: a/b, file: x.gguf,\n size: '9'}}\n", 2, "a whole number above 0"),
        ("source: {gguf: {repo: a/b, file: x.gguf,\n size: 4.9}}\n", 2, "a whole number above 0"),
        ("source: {registry: a}\nmodelfile: Modelfile\n", 2, "only for models with 'source.gguf'"),
        ("modelfile: ../Modelfile\nsource: {registry: a}\n", 1, "a file in this folder is needed"),
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
            "'probe.kind' must be one of auto, chat, generate, embed, not 'ask'",
        ),
        ("source: {registry: a}\nprobe:\n  prompt: !vault x\n", 3, "a value with the tag !vault"),
        ("source: {registry: a,\n digest: 12ab}\n", 2, "must be a SHA-256, 64 hexadecimal digits"),
        ("source: {from: a,\n digest: DIGEST}\nmodelfile: M\n", 2, "with 'source.registry'"),
        ("source:\n  from: a\n", 2, "'source.from' needs 'modelfile'"),
        ("source:\n  from: a b\nmodelfile: M\n", 2, "Invalid model name 'a b'"),
        ("source:\n  from: TINY:latest\nmodelfile: M\n", 2, "tiny cannot be its own base"),
        ("source: {registry: a, from: b}\n", 1, "'registry', 'gguf' or 'from', exactly one"),
        ("source: {registry: a}\nimport_method: link\n", 2, "only for models with 'source.gguf'"),
        (f"{GGUF}import_method: copy\n", 7, "must be one of auto, api, link, not 'copy'"),
        (f"{GGUF}import_method: true\n", 7, "must be text, not yes or no"),
        ("source: {registry: a}\nprobe:\n  expect: '('\n", 3, "expect is not a regular expr"),
        ("source: {registry: a}\nprobe:\n  expect: 富士\n  expekt: a\n", 4, "did you mean 'expec"),
        ("source: {registry: a}\nprobe:\n  expect_language: jp\n", 3, "must be one of ar, el, en,"),
        ("source: {registry: a}\nprobe: {expect_language: no}\n", 2, "must be text, not yes or no"),
        ("source: {registry: a}\nprobe:\n  min_tokens: 0\n", 3, "a whole number above 0"),
        ("source: {registry: a}\nprobe:\n  min_tokens: many\n", 3, "a whole number above 0"),
        ("source: {registry: a}\nprobe:\n  dimensions: 1e3\n", 3, "a whole number above 0"),
        ("source: {registry: a}\nprobe:\n  format: yaml\n", 3, "format is 'yaml', but must be"),
        ("source: {registry: a}\nprobe:\n  format: [a]\n", 3, "format is ['a'], but must be"),
        (
            "source: {registry: a}\nprobe:\n  format:\n    default: 2026-01-01\n",
            4,
            "'probe.format' cannot hold a date (put it in quotes)",
        ),
        ("source: {registry: a}\nprobe:\n  require_gpu: 101\n", 3, "require_gpu is 101, but"),
        ("source: {registry: a}\nprobe:\n  require_gpu: most\n", 3, "require_gpu is 'most', but"),
        ("source: {registry: a}\nprobe:\n  require_gpu: !x 1\n", 3, "a value with the tag !x"),
        (
            "source: {registry: a}\nprobe:\n  kind: embed\n  system: a\n",
            4,
            "'probe.system' has no meaning where 'probe.kind' is embed",
        ),
        (
            "source: {registry: a}\nprobe:\n  kind: generate\n  dimensions: 3\n",
            4,
            "'probe.dimensions' has no meaning where 'probe.kind' is generate",
        ),
        ("source:\n  registry: 'a\n", 3, "not valid YAML"),
        ("source: {registry: a}\n---\n", 2, "not valid YAML"),
    ],
)
def test_faults_are_told_with_file_and_line(text, line, complaint):
    with pytest.raises(Refused) as caught:
        catalogue.parse(text.replace("DIGEST", "ab" * 32), PATH)
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
    assert specs[0] == Spec(name="llama3.2:3b", source=from_registry("llama3.2:3b"))


@pytest.mark.parametrize("entry", ["tiny", "tiny:1b", "TINY:1B", "library/tiny:1b"])
def test_models_own_name_finds_its_spec(write, tmp_path, entry):
    write("tiny", FULL)
    (spec,) = catalogue.select([entry], catalogue.load([tmp_path / "own"]))
    assert spec.folder == "tiny"


def test_other_tag_of_a_folder_is_a_registry_name(write, tmp_path):
    write("tiny", FULL)
    (spec,) = catalogue.select(["tiny:7b"], catalogue.load([tmp_path / "own"]))
    assert (spec.folder, spec.source) == (None, from_registry("tiny:7b"))


def test_same_model_asked_twice_is_told_once(write, tmp_path):
    write("tiny", FULL)
    loaded = catalogue.load([tmp_path / "own"])
    specs = catalogue.select(["tiny", "a", "tiny:1b", "a:latest"], loaded)
    assert names_of(specs) == ["tiny:1b", "a"]


@pytest.fixture
def made_from(write):
    def made_from(folder: str, base: str) -> None:
        path = write(folder, f"source: {{from: {base}}}\nmodelfile: Modelfile")
        (path.parent / "Modelfile").write_text(f"FROM {base}\n")

    return made_from


def test_model_comes_after_the_one_it_is_made_from(write, made_from, tmp_path):
    write("tiny", FULL)
    made_from("kinder", "kind:latest")
    made_from("kind", "TINY:1b")
    loaded = catalogue.load([tmp_path / "own"])
    specs = catalogue.select(["a", "kinder", "b", "kind", "tiny"], loaded)
    assert names_of(specs) == ["a", "tiny:1b", "kind", "kinder", "b"]


def test_models_made_from_each_other_are_refused(made_from, tmp_path):
    made_from("this", "that")
    made_from("that", "this")
    with pytest.raises(Refused, match="would be made from itself"):
        catalogue.select(["this", "that"], catalogue.load([tmp_path / "own"]))


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


MODELFILE = "FROM /models/tiny/tiny-q4.gguf\nPARAMETER temperature 0.7\n"


@pytest.fixture
def tiny(write, tmp_path):
    """Load a model of a GGUF file with this Modelfile."""
    path = write("tiny", GGUF)

    def load(content):
        if content is not None:
            raw = content.encode() if isinstance(content, str) else content
            (path.parent / "Modelfile").write_bytes(raw)
        return catalogue.load([tmp_path / "own"])["tiny"]

    return load


def test_model_of_a_gguf_file_comes_with_its_modelfile(tiny):
    spec = tiny(MODELFILE)
    assert spec.to_result()["modelfile"] == MODELFILE
    assert spec.source == {
        **dict.fromkeys(("registry", "digest", "from")),
        "gguf": {
            "repo": "lab/tiny-GGUF",
            "file": "q4/tiny-q4.gguf",
            "revision": None,
            "sha256": None,
            "size": 1000,
            "url": None,
            "mirrors": None,
        },
    }


@pytest.mark.parametrize(
    "content",
    [
        MODELFILE.replace("\n", "\r\n"),
        MODELFILE.encode("utf-8-sig"),
        MODELFILE.replace("\n", "\r\n").encode("utf-16"),
    ],
)
def test_modelfile_of_a_windows_editor_is_the_same(tiny, content):
    assert tiny(content).modelfile == MODELFILE


def test_modelfile_is_read_again_when_it_alone_changed(tiny):
    tiny(MODELFILE)
    changed = MODELFILE.replace("0.7", "0.9")
    assert tiny(changed).modelfile == changed


@pytest.mark.parametrize("base", ["tiny-q4.gguf", "./tiny-q4.gguf", "/x/tiny/tiny-q4.gguf"])
def test_from_may_name_the_file_alone_or_in_its_folder(tiny, base):
    assert tiny(f"FROM {base}\n").modelfile == f"FROM {base}\n"


@pytest.mark.parametrize(
    ("text", "where", "complaint"),
    [
        ("FROM /models/tiny/x.gguf\n", ":1", "names another file; write 'FROM /models/tiny/t"),
        ("# a\n\nFROM llama3.2\n", ":3", "FROM llama3.2 names another file"),
        ("FROM /models/other/tiny-q4.gguf\n", ":1", "names another folder; write 'FROM /models/t"),
        ("FROM /models/tiny/Tiny-Q4.gguf\n", ":1", "names another file"),
        ("PARAMETER num_ctx 1\n", "", "no FROM line; write 'FROM /models/tiny/tiny-q4.gguf'"),
        (MODELFILE + "FROM llama3.2\n", ":3", "there is one FROM line already (line 1)"),
        (MODELFILE + "PARAMETER num_ctx 1.5\n", ":3", "invalid int value [1.5]"),
        (MODELFILE + "PARAMETER temprature 1\n", ":3", "did you mean 'temperature'?"),
        (MODELFILE + 'SYSTEM """a\nb\n', ":3", "unexpected EOF"),
        (MODELFILE.replace("\n", "\r\n") + "SYSTEM\r\n", ":3", ": command must be one of"),
        (MODELFILE + "ADAPTER ./a.gguf\n", ":3", "ADAPTER names a second file"),
        ("FROM 山".encode("shift_jis"), "", "Save the file as UTF-8"),
    ],
)
def test_faults_of_a_modelfile_are_told_with_file_and_line(tiny, tmp_path, text, where, complaint):
    with pytest.raises(Refused) as caught:
        tiny(text)
    assert str(caught.value).startswith(f"{tmp_path}/own/tiny/Modelfile{where}: ")
    assert complaint in str(caught.value)


@pytest.fixture
def based(write, tmp_path):
    """Load a model that is made from another one, with this Modelfile."""
    path = write("mine", "{source: {from: 'qwen2.5:7b'}, modelfile: Modelfile}")

    def load(text):
        (path.parent / "Modelfile").write_text(text)
        return catalogue.load([tmp_path / "own"])["mine"]

    return load


@pytest.mark.parametrize(
    "base", ["qwen2.5:7b", "QWEN2.5:7b", "registry.ollama.ai/library/qwen2.5:7b"]
)
def test_model_from_a_base_comes_with_its_modelfile(based, base):
    spec = based(f"FROM {base}\nSYSTEM 日本語で。\n")
    assert spec.modelfile == f"FROM {base}\nSYSTEM 日本語で。\n"
    assert spec.source == {**from_registry(None), "from": "qwen2.5:7b"}


@pytest.mark.parametrize(
    ("text", "where", "complaint"),
    [
        (
            "FROM qwen2.5\n",
            ":1",
            "FROM qwen2.5 names another model; write 'FROM qwen2.5:7b'",
        ),
        ("# a\nFROM ./x.gguf\n", ":2", "FROM ./x.gguf is not the name of a model"),
        ("FROM .\n", ":1", "FROM . is not the name of a model"),
        ("SYSTEM a\n", "", "it has no FROM line; write 'FROM qwen2.5:7b'"),
        ("FROM qwen2.5:7b\nFROM b\n", ":2", "there is one FROM line already (line 1)"),
        ("FROM qwen2.5:7b\nADAPTER a.gguf\n", ":2", "ADAPTER names a second file"),
        ("FROM qwen2.5:7b\nDRAFT a.gguf\n", ":2", "DRAFT names a second file"),
        ("FROM qwen2.5:7b\nPARAMETER top_k many\n", ":2", "invalid int value [many]"),
        ("FROM qwen2.5:7b\nPARAMETER topk 1\n", ":2", "did you mean 'top_k'?"),
        ("FROM qwen2.5:7b\nMESSAGE bot hi\n", ":2", "message role must be one of"),
    ],
)
def test_faults_of_a_modelfile_on_a_base_are_told(based, tmp_path, text, where, complaint):
    with pytest.raises(Refused) as caught:
        based(text)
    assert str(caught.value).startswith(f"{tmp_path}/own/mine/Modelfile{where}: ")
    assert complaint in str(caught.value)


def test_missing_modelfile_is_refused(tiny):
    with pytest.raises(Refused, match=r"model\.yml: .*Modelfile cannot be read: No such file"):
        tiny(None)


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
        "smollm2-gguf",
    }


def test_shipped_elyza_is_the_model_that_is_made_by_hand():
    spec = catalogue.load([Path(__file__).resolve().parents[4] / "models"])["elyza-jp-8b"]
    assert spec.source["gguf"]["file"] == "Llama-3-ELYZA-JP-8B-q4_k_m.gguf"
    assert modelfile.request(modelfile.parse(spec.modelfile)) == {
        "from": "/models/elyza-jp-8b/Llama-3-ELYZA-JP-8B-q4_k_m.gguf",
        "parameters": {"num_ctx": 1024, "temperature": 0.7},
    }

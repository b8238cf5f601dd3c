# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError
from ansible_collections.edgellm.host.plugins.lookup import catalogue
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, recipe

NAME = "edgellm.host.catalogue"


@pytest.fixture
def query():
    # What Ansible's loader does: it reads the options from the documentation.
    options = yaml.safe_load(catalogue.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("lookup", NAME, options)
    plugin = catalogue.LookupModule()
    plugin._load_name = NAME
    return lambda *terms, **options: plugin.run(list(terms), variables={}, **options)


def test_shipped_folders_and_registry_names_become_specs(query):
    found = query("bge-m3", "llama3.2:3b")
    assert [(spec["name"], spec["folder"]) for spec in found] == [
        ("bge-m3", "bge-m3"),
        ("llama3.2:3b", None),
    ]
    assert found[1]["source"] == {
        "registry": "llama3.2:3b",
        "digest": None,
        "gguf": None,
        "from": None,
    }
    assert found[1]["probe"] == {
        "kind": "auto",
        **dict.fromkeys(
            (
                "prompt",
                "system",
                "format",
                "expect",
                "expect_language",
                "min_tokens",
                "dimensions",
                "require_gpu",
            )
        ),
    }
    assert set(found[0]) == {
        "name",
        "folder",
        "source",
        "modelfile",
        "import_method",
        "probe",
        "description",
        "lock",
    }


def test_own_directory_comes_first(query, tmp_path):
    (tmp_path / "bge-m3").mkdir()
    (tmp_path / "bge-m3/model.yml").write_text("source: {registry: mine}\n")
    (own,) = query("bge-m3", models_dir=str(tmp_path))
    assert own["source"]["registry"] == "mine"
    (shipped,) = query("smollm2-135m", models_dir=str(tmp_path))
    assert shipped["name"] == "smollm2:135m"


def test_missing_directory_is_no_error(query, tmp_path):
    assert query("bge-m3", models_dir=str(tmp_path / "gone"))[0]["folder"] == "bge-m3"


def test_list_as_one_term_is_taken_apart(query):
    assert len(query(["bge-m3", "llama3.2:3b"])) == 2
    assert query() == []


def test_fault_names_file_and_line(query, tmp_path):
    path = tmp_path / "tiny/model.yml"
    path.parent.mkdir()
    path.write_text("source: {registry: a}\nprob: {}\n")
    with pytest.raises(AnsibleError, match=f"{path}:2: unknown key 'prob' .did you mean 'probe'"):
        query("bge-m3", models_dir=str(tmp_path))


@pytest.mark.parametrize("entry", [7, None, {"name": "bge-m3"}])
def test_entry_that_is_no_text_is_refused(query, entry):
    with pytest.raises(AnsibleError, match="is not a name"):
        query(entry)


def test_model_of_a_gguf_file_has_the_text_of_its_modelfile(query):
    (spec,) = query("smollm2-gguf")
    assert spec["modelfile"].startswith(
        f"FROM /models/smollm2-gguf/{spec['source']['gguf']['file']}\n"
    )
    assert spec["source"]["registry"] is None


def test_fault_of_a_modelfile_names_file_and_line(query, tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/model.yml").write_text(
        "source: {gguf: {repo: a/b, file: x.gguf}}\nmodelfile: Modelfile\n"
    )
    (tmp_path / "tiny/Modelfile").write_text("# mine\nFROM y.gguf\n")
    with pytest.raises(AnsibleError, match=r"tiny/Modelfile:2: FROM y\.gguf names another file"):
        query("tiny", models_dir=str(tmp_path))


# --- the lock ------------------------------------------------------------------------------------

A, B = "a" * 64, "b" * 64


@pytest.fixture
def own(tmp_path):
    """A catalogue with a GGUF model, its lock, and what makes another of it."""
    (tmp_path / "tiny").mkdir()
    spec = tmp_path / "tiny/model.yml"
    spec.write_text("source: {gguf: {repo: a/b, file: x.gguf}}\nmodelfile: Modelfile\n")
    text = tmp_path / "tiny/Modelfile"
    text.write_text("FROM x.gguf\nPARAMETER num_ctx 1024\n")
    weights = recipe.Weights("/anywhere/x.gguf", A)
    made = recipe.make(names.parse("tiny"), weights, text.read_text()).spec
    entry = f"gguf: {{repo: a/b, file: x.gguf, sha256: {A}, size: 9}}, spec: {made}"
    (tmp_path / "models.lock.yml").write_text(
        f"format: 1\nmodels:\n  tiny:latest: {{{entry}, digests: {{0.32.15: {B}}}}}\n"
    )
    return tmp_path


@pytest.mark.parametrize("entry", ["tiny", "tiny:latest", "library/TINY"])
def test_spec_comes_with_what_is_locked(query, own, entry):
    (spec,) = query(entry, models_dir=str(own))
    assert spec["lock"] == {
        "registry": None,
        "digest": None,
        "size": None,
        "manifest": None,
        "gguf": {"repo": "a/b", "file": "x.gguf", "sha256": A, "size": 9},
        "from": None,
        "spec": spec["lock"]["spec"],
        "digests": {"0.32.15": B},
        "stale": None,
    }


def test_model_that_is_not_locked_has_no_lock(query, own):
    assert [spec["lock"] for spec in query("bge-m3", "tiny:7b", models_dir=str(own))] == [None] * 2


def test_lock_of_a_registry_model_names_the_manifest(query, tmp_path):
    raw = b'{"schemaVersion":2,"config":{},"layers":[]}'
    digest = hashlib.sha256(raw).hexdigest()
    manifest = tmp_path / f"manifests/sha256-{digest}.json"
    manifest.parent.mkdir()
    manifest.write_bytes(raw)
    (tmp_path / "models.lock.yml").write_text(
        "format: 1\nmodels:\n  bge-m3:latest:\n"
        "    registry: registry.ollama.ai/library/bge-m3:latest\n"
        f"    digest: {digest}\n    size: 9\n"
    )
    (spec,) = query("bge-m3", models_dir=str(tmp_path))
    assert spec["folder"] == "bge-m3"
    assert (spec["lock"]["digest"], spec["lock"]["manifest"]) == (digest, str(manifest))
    # The lock of those who ship a catalogue is not the user's.
    assert query("bge-m3")[0]["lock"] is None


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("Modelfile", "FROM x.gguf\nPARAMETER num_ctx 2048\n", "with the catalogue's Modelfile it"),
        ("model.yml", "source: {registry: tiny}\n", "says registry name tiny:latest"),
        (
            "model.yml",
            f"source: {{gguf: {{repo: a/b, file: x.gguf, sha256: {B}}}}}\nmodelfile: Modelfile\n",
            f"is locked with the SHA-256 of the GGUF file {A}, but the catalogue says {B}",
        ),
    ],
)
def test_contradiction_is_told_and_not_hidden(query, own, file, text, complaint):
    (own / "tiny" / file).write_text(text)
    (spec,) = query("tiny", models_dir=str(own))
    assert spec["lock"]["stale"].startswith(f"{own}/models.lock.yml:3: tiny:latest is locked with ")
    assert complaint in spec["lock"]["stale"]


def test_same_modelfile_in_other_words_is_no_contradiction(query, own):
    (own / "tiny/Modelfile").write_text("# ours\r\nfrom ./x.gguf\r\nparameter num_ctx 1024\r\n")
    assert query("tiny", models_dir=str(own))[0]["lock"]["stale"] is None


def test_lock_that_is_not_whole_is_refused(query, own):
    path = own / "models.lock.yml"
    path.write_text(path.read_text().replace("digests:", "digest:"))
    with pytest.raises(AnsibleError, match=f"catalogue: {path}:3: 'models.tiny:latest.digest' mus"):
        query("bge-m3", models_dir=str(own))


@pytest.mark.parametrize(
    ("temperature", "is_stale"), [("0.2", False), ("2e-1", False), ("0.6", True)]
)
def test_changed_modelfile_of_a_model_on_a_base_is_told(query, tmp_path, temperature, is_stale):
    text = "FROM base:1b\nPARAMETER temperature {}\n"
    base = recipe.Base(names.parse("base:1b"), A)
    made = recipe.make(names.parse("kind"), base, text.format("0.2")).spec
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind/model.yml").write_text("source: {from: 'base:1b'}\nmodelfile: Modelfile\n")
    (tmp_path / "kind/Modelfile").write_text(text.format(temperature))
    (tmp_path / "models.lock.yml").write_text(
        "format: 1\nmodels:\n  kind:latest:\n"
        f"    from: {{name: 'registry.ollama.ai/library/base:1b', digest: {A}}}\n"
        f"    spec: {made}\n    digests: {{0.32.15: {B}}}\n"
    )
    (spec,) = query("kind", models_dir=str(tmp_path))
    assert bool(spec["lock"]["stale"]) is is_stale

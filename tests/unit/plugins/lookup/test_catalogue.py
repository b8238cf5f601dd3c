# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleError
from ansible_collections.edgellm.host.plugins.lookup import catalogue

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
    assert found[1]["source"] == {"registry": "llama3.2:3b", "gguf": None}
    assert found[1]["probe"] == {"kind": "auto", "prompt": None, "system": None}
    assert set(found[0]) == {
        "name",
        "folder",
        "source",
        "modelfile",
        "probe",
        "description",
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

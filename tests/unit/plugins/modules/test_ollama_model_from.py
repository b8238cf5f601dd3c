# SPDX-License-Identifier: GPL-3.0-or-later
"""Models made from a base, and the fields beside a Modelfile."""

from __future__ import annotations

import hashlib

import pytest
from ansible.module_utils.basic import AnsibleModule

from tests.unit.conftest import small_gguf

TEXT = """FROM base:1b
SYSTEM be kind
PARAMETER temperature 0.7
"""


@pytest.fixture
def base(registry, ollama):
    """The base, installed; gives its digest."""
    digest = registry.offer("base:1b")
    ollama.pull("base:1b", registry)
    return digest


@pytest.fixture
def made(run_module, ollama, registry, tmp_path):
    """Run the module for a model that is made from the base."""

    def run(**params):
        given = {
            "url": ollama.url,
            "timeout": 10,
            "name": "kind",
            "from": "base:1b",
            "system": "be kind",
            "parameters": {"temperature": 0.7},
            "registry_mirror": registry.url,
            "record": str(tmp_path / "record.json"),
        }
        given.update(params)
        given = {option: value for option, value in given.items() if value is not None}
        return run_module("ollama_model", **given)

    return run


def actions(result):
    return [action["action"] for action in result["plan"]["actions"]]


def sent(traffic):
    return [seen.line for seen in traffic.requests if seen.mutates]


def body(traffic):
    (request,) = (seen.json for seen in traffic.requests if seen.line == "POST /api/create")
    return request


def edit(ollama, **fields):
    ollama._post("create", {"model": "kind", "from": "kind", "stream": False, **fields})
    return ollama.tags()["kind:latest"]


@pytest.mark.usefixtures("base")
def test_model_is_made_from_its_base(made, ollama, traffic):
    result = made()
    assert (result["changed"], actions(result)) == (True, ["create"])
    assert result["model"]["digest"] == ollama.tags()["kind:latest"]
    assert body(traffic) == {
        "model": "kind:latest",
        "from": "base:1b",
        "system": "be kind",
        "parameters": {"temperature": 0.7},
        "stream": True,
    }
    assert result["diff"]["after"]["from"] == "base:1b"
    assert result["plan"]["bytes_fetch"] == result["plan"]["bytes_upload"] == 0


@pytest.mark.usefixtures("base")
def test_second_run_changes_nothing_and_asks_for_one_list(made, traffic):
    digest = made()["model"]["digest"]
    traffic.clear()
    again = made()
    assert (again["changed"], again["model"]["digest"]) == (False, digest)
    assert traffic.lines() == ["GET /api/tags"]


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("given_base", ["base:1b", None])
def test_modelfile_says_the_same_as_the_fields(made, given_base):
    made()
    again = made(**{"from": given_base}, modelfile=TEXT, system=None, parameters=None)
    assert again["changed"] is False


@pytest.mark.usefixtures("base")
def test_field_replaces_what_the_modelfile_says_and_parameters_do_one_by_one(made, traffic):
    text = TEXT + "PARAMETER top_k 10\n"
    made(modelfile=text, system="be brief", parameters={"temperature": 0.1, "seed": "7"})
    assert body(traffic)["system"] == "be brief"
    assert body(traffic)["parameters"] == {"temperature": 0.1, "top_k": 10, "seed": 7}


def test_missing_base_is_pulled_first_with_exact_bytes(made, ollama, registry, traffic):
    digest = registry.offer("base:1b")
    size = sum(registry.layers("base:1b").values())
    foreseen = made(check_mode=True)
    assert ollama.tags() == {}
    traffic.clear()
    result = made()
    assert actions(result) == ["pull", "copy", "delete", "create"]
    assert result["plan"]["bytes_fetch"] == size
    for key in ("changed", "plan", "diff"):
        assert foreseen[key] == result[key], key
    assert ollama.tags()["base:1b"] == digest
    assert made()["changed"] is False


def test_base_that_nobody_has_is_refused_before_anything(made, traffic):
    assert "library/base:1b (404)" in made(fails=True)["msg"]
    assert sent(traffic) == []


def test_base_that_a_task_before_would_make_is_no_failure_of_a_prediction(
    made, ollama, monkeypatch
):
    warnings = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    foreseen = made(check_mode=True)
    assert (foreseen["changed"], actions(foreseen)) == (True, ["create"])
    assert "library/base:1b (404)" in warnings[0]
    assert ollama.tags() == {}


def test_missing_base_is_pulled_only_as_what_it_must_be(made, ollama, registry):
    old = registry.offer("base:1b")
    new = registry.offer("base:1b", weights="newer")
    for check_mode in (True, False):
        assert new in made(from_digest=old, check_mode=check_mode, fails=True)["msg"]
    assert ollama.tags() == {}
    made(from_digest=new)
    assert ollama.tags()["base:1b"] == new
    assert made(from_digest=old)["changed"] is False


def test_new_base_makes_a_new_model(made, ollama, registry, base):
    first = made()["model"]["digest"]
    other = registry.offer("base:1b", weights="newer")
    ollama.pull("base:1b", registry)
    assert other != base
    result = made()
    assert actions(result) == ["create"]
    assert result["diff"]["before"]["from_digest"] == base
    assert result["diff"]["after"]["from_digest"] == other
    assert result["model"]["digest"] != first
    assert made()["changed"] is False


@pytest.mark.usefixtures("base")
def test_base_removed_since_changes_nothing(made, ollama, traffic):
    made()
    ollama.delete("base:1b")
    traffic.clear()
    assert made()["changed"] is False
    assert traffic.lines() == ["GET /api/tags"]
    # But whatever else is wanted needs it again.
    assert actions(made(system="be brief", check_mode=True)) == ["pull", "copy", "delete", "create"]


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("keep_record", [True, False])
def test_model_changed_by_hand_is_kept_aside_and_put_back(made, ollama, tmp_path, keep_record):
    digest = made()["model"]["digest"]
    edited = edit(ollama, system="be rude")
    if not keep_record:
        (tmp_path / "record.json").unlink()
    result = made()
    assert actions(result) == ["snapshot", "create"]
    assert result["diff"]["before"]["system"] == "be rude"
    assert ollama.tags()["kind:latest"] == digest
    assert ollama.tags()[f"kind:latest-prev-{edited[:12]}"] == edited
    assert made()["changed"] is False


@pytest.mark.usefixtures("base")
def test_what_the_base_says_is_no_difference(made, ollama, run_module, tmp_path, traffic):
    # A base with everything; the model says only some of it again.
    run_module(
        "ollama_model",
        **{"url": ollama.url, "name": "rich", "from": "base:1b", "system": "base", "timeout": 10},
        parameters={"top_k": 10, "temperature": 0.1, "stop": ["a"]},
        messages=[{"role": "user", "content": "hi"}],
        license=["first"],
    )
    wish = {"from": "rich", "license": ["second"], "system": None}
    made(**wish)
    (tmp_path / "record.json").unlink()
    traffic.clear()
    assert made(**wish)["changed"] is False
    assert sent(traffic) == []
    assert made(**{**wish, "parameters": {"top_k": 11}})["changed"] is True


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("start", ["absent", "same", "edited", "unrecorded"])
def test_check_mode_predicts_what_then_happens(made, ollama, tmp_path, start):
    if start != "absent":
        made()
    if start == "edited":
        edit(ollama, system="be rude")
    elif start == "unrecorded":
        (tmp_path / "record.json").unlink()
    before = ollama.tags()
    foreseen = made(check_mode=True)
    assert ollama.tags() == before
    done = made()
    for key in ("changed", "plan", "diff", "drift", "snapshot"):
        assert foreseen[key] == done[key], key
    assert made()["changed"] is False


@pytest.mark.usefixtures("base")
def test_expected_digest_is_proven_before_the_name_gets_it(made, ollama):
    refused = made(digest="0" * 64, fails=True)
    assert "this server made" in refused["msg"]
    assert list(ollama.tags()) == ["base:1b"]
    digest = made()["model"]["digest"]
    ollama.delete("kind")
    result = made(digest=digest)
    assert actions(result) == ["create", "copy", "delete"]
    assert ollama.tags()["kind:latest"] == digest
    assert made(digest=digest)["changed"] is False


@pytest.mark.usefixtures("base")
def test_digest_this_server_does_not_give_is_refused_before_anything(made, traffic):
    made()
    traffic.clear()
    assert "makes " in made(digest="0" * 64, fails=True)["msg"]
    assert sent(traffic) == []


@pytest.mark.usefixtures("base")
def test_server_that_is_too_old_is_refused_before_anything(made, traffic):
    traffic.clear()
    refused = made(requires="99.0.0", fails=True)
    assert "requires Ollama 99.0.0, but the server is 0.32.15" in refused["msg"]
    assert sent(traffic) == []
    assert made(requires="v0.14.0")["changed"] is True
    assert body(traffic)["requires"] == "0.14.0"


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"from": "kind:latest"}, "cannot be made from itself"),
        ({"from": "bad name"}, "Invalid model name"),
        ({"from": "base:cloud"}, "cannot be installed"),
        ({"name": "kind:cloud"}, "cannot be created"),
        ({"modelfile": "FROM other\n"}, "line 1: FROM other names another model; write 'FROM"),
        ({"modelfile": "FROM ./x.gguf\n"}, "line 1: FROM ./x.gguf is not the name of a model"),
        ({"modelfile": "FROM base:1b\nFROM base:1b\n"}, "line 2: there is one FROM line already"),
        ({"modelfile": "SYSTEM x\n"}, "no FROM line; write 'FROM base:1b'"),
        ({"modelfile": TEXT + "PARAMETER nope 1\n"}, "line 4: unknown parameter 'nope'"),
        ({"from": None, "modelfile": "FROM /x.gguf\n"}, "Give its path on the host in gguf"),
        ({"from": None, "modelfile": "SYSTEM x\n"}, "no FROM line"),
        ({"parameters": {"temprature": 1}}, "temprature: unknown parameter 'temprature' (did you"),
        ({"parameters": {"num_ctx": 4096.5}}, "num_ctx: invalid int value [4096.5]"),
        ({"parameters": {"num_ctx": True}}, "num_ctx: invalid int value [true]"),
        ({"parameters": {"num_ctx": [1, 2]}}, "num_ctx takes one value"),
        ({"parameters": {"temperature": "warm"}}, "temperature: invalid float value [warm]"),
        ({"parameters": {"temperature": "inf"}}, "must be a finite number"),
        ({"parameters": {"use_mmap": "yes"}}, "use_mmap: invalid bool value [yes]"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "robot"),
        ({"messages": [{"role": "user"}]}, "content"),
        ({"requires": "new"}, "requires 'new' is not a version"),
        ({"quantize": "Q4_K_M"}, "gguf"),
        ({"state": "latest"}, "Use state=present"),
        ({"gguf": "/x.gguf"}, "mutually exclusive"),
        ({"registry": "x"}, "mutually exclusive"),
        ({"adapters": ["/nowhere/a.gguf"]}, "/nowhere/a.gguf does not exist on the host"),
        ({"modelfile": TEXT + "ADAPTER a.gguf\n"}, "line 4: ADAPTER names a second file"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_sent(made, traffic, params, complaint):
    assert complaint in made(**params, fails=True)["msg"]
    assert sent(traffic) == []


# --- fields for a model from a file --------------------------------------------------------------


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(small_gguf("tiny"))
    return path


def test_all_fields_reach_the_server_and_count(made, weights, traffic):
    wish = {
        "name": "tiny",
        "from": None,
        "registry_mirror": None,
        "gguf": str(weights),
        "template": "{{ .Prompt }}",
        "parameters": {"stop": ["a", "b"], "num_ctx": "1024", "use_mmap": False, "top_p": 0.9},
        "messages": [{"role": "user", "content": "こんにちは"}],
        "license": ["one", "two"],
        "renderer": "qwen3",
        "parser": "qwen3",
        "requires": "0.14.0",
    }
    made(**wish)
    assert body(traffic) == {
        "model": "tiny:latest",
        "files": {"tiny.gguf": f"sha256:{hashlib.sha256(weights.read_bytes()).hexdigest()}"},
        "template": "{{ .Prompt }}",
        "system": "be kind",
        "parameters": {"stop": ["a", "b"], "num_ctx": 1024, "use_mmap": False, "top_p": 0.9},
        "messages": [{"role": "user", "content": "こんにちは"}],
        "license": ["one", "two"],
        "renderer": "qwen3",
        "parser": "qwen3",
        "requires": "0.14.0",
        "stream": True,
    }
    assert made(**wish)["changed"] is False
    for field, other in (
        ("template", "{{ .System }}"),
        ("messages", [{"role": "user", "content": "x"}]),
        ("license", ["one"]),
        ("parser", "other"),
    ):
        assert made(**{**wish, field: other}, check_mode=True)["changed"] is True, field


def test_adapter_is_uploaded_and_counts(made, weights, tmp_path, traffic):
    registry_free = {"name": "tiny", "from": None, "registry_mirror": None, "gguf": str(weights)}
    adapter = tmp_path / "lora.gguf"
    adapter.write_bytes(small_gguf("lora"))
    text = "FROM tiny.gguf\nADAPTER ./lora.gguf\n"
    result = made(**registry_free, modelfile=text, adapters=[str(adapter)])
    assert actions(result) == ["upload", "upload", "create"]
    sha256 = hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert body(traffic)["adapters"] == {"lora.gguf": f"sha256:{sha256}"}
    assert made(**registry_free, adapters=[str(adapter)])["changed"] is False
    adapter.write_bytes(small_gguf("other"))
    assert made(**registry_free, adapters=[str(adapter)])["changed"] is True


def test_quantization_the_server_refuses_leaves_no_model(made, ollama, weights):
    params = {"name": "tiny", "from": None, "registry_mirror": None, "gguf": str(weights)}
    refused = made(**params, quantize="Q4_K_M", fails=True)
    assert "Ollama at" in refused["msg"]
    assert ollama.tags() == {}

# SPDX-License-Identifier: GPL-3.0-or-later
"""The module against the stand-in and its registry; decisions alone are in test_plan.py."""

from __future__ import annotations

import hashlib
import json

import pytest
from ansible.module_utils.basic import AnsibleModule

from tests.unit.conftest import small_gguf


@pytest.fixture
def model(run_module, ollama, registry):
    """Run the module for this server, through the registry as its mirror."""

    def run(name="qwen2.5:7b-instruct", **params):
        connection = {"url": ollama.url, "registry_mirror": registry.url, "timeout": 10}
        return run_module("ollama_model", **{"name": name, **connection, **params})

    return run


def actions(result):
    return [action["action"] for action in result["plan"]["actions"]]


# --- what the module is for ----------------------------------------------------------------------


def test_absent_model_is_installed_under_its_own_name(model, ollama, registry):
    digest = registry.offer("qwen2.5:7b-instruct")
    result = model()
    assert result["changed"] is True
    assert ollama.tags() == {"qwen2.5:7b-instruct": digest}
    assert result["model"]["digest"] == digest
    assert result["model"]["name"] == "qwen2.5:7b-instruct"
    assert result["model"]["full_name"] == "registry.ollama.ai/library/qwen2.5:7b-instruct"
    assert result["model"]["family"] == "llama"
    assert actions(result) == ["pull", "copy", "delete"]
    assert result["plan"]["bytes_fetch"] == sum(registry.layers("qwen2.5:7b-instruct").values())
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"]["digest"] == digest


def test_installed_model_costs_no_request_to_any_registry(model, registry, traffic):
    registry.offer("qwen2.5:7b-instruct")
    model()
    registry.offer("qwen2.5:7b-instruct", weights="newer")
    traffic.clear()
    assert model()["changed"] is False
    assert traffic.lines() == ["GET /api/tags"]


def test_latest_follows_the_registry(model, ollama, registry):
    old = registry.offer("qwen2.5:7b-instruct")
    model()
    assert model(state="latest")["changed"] is False
    new = registry.offer("qwen2.5:7b-instruct", weights="newer")
    result = model(state="latest")
    assert result["changed"] is True
    assert (result["diff"]["before"]["digest"], result["diff"]["after"]["digest"]) == (old, new)
    assert ollama.tags() == {"qwen2.5:7b-instruct": new}
    assert model(state="latest")["changed"] is False


def test_update_fetches_only_the_blobs_that_are_new(model, registry):
    registry.offer("qwen2.5:7b-instruct")
    before = registry.layers("qwen2.5:7b-instruct")
    model()
    registry.offer("qwen2.5:7b-instruct", weights="newer and longer")
    after = registry.layers("qwen2.5:7b-instruct")
    plan = model(state="latest")["plan"]
    assert plan["bytes_fetch"] == sum(size for blob, size in after.items() if blob not in before)
    assert plan["bytes_reuse"] == sum(size for blob, size in after.items() if blob in before)


def test_expected_digest_is_installed(model, ollama, registry):
    old = registry.offer("qwen2.5:7b-instruct")
    assert model(digest=f"sha256:{old}")["changed"] is True
    new = registry.offer("qwen2.5:7b-instruct", weights="newer")
    assert model(digest=old)["changed"] is False
    assert model(digest=new)["changed"] is True
    assert ollama.tags() == {"qwen2.5:7b-instruct": new}


@pytest.mark.parametrize("state", ["present", "latest"])
@pytest.mark.parametrize("check_mode", [True, False])
def test_other_digest_than_expected_is_refused_before_any_change(
    model, ollama, registry, traffic, state, check_mode
):
    old = registry.offer("qwen2.5:7b-instruct")
    model()
    new = registry.offer("qwen2.5:7b-instruct", weights="newer")
    traffic.clear()
    result = model(state=state, digest="0" * 64, check_mode=check_mode, fails=True)
    assert "0" * 64 in result["msg"]
    assert new in result["msg"]
    assert [seen.line for seen in traffic.requests if seen.mutates] == []
    assert ollama.tags() == {"qwen2.5:7b-instruct": old}


def test_model_is_known_by_another_name_than_it_is_pulled_by(model, ollama, registry):
    digest = registry.offer("original:q4")
    # The namespace of hf.co's name is looked for at the mirror, as Ollama itself would.
    result = model("mine", registry="original:q4")
    assert (result["changed"], ollama.tags()) == (True, {"mine:latest": digest})
    assert model("mine", registry="original:q4")["changed"] is False


def test_name_at_the_mirror_itself_needs_no_copy(model, ollama, registry):
    digest = registry.offer("x")
    name = f"{registry.url.removeprefix('http://')}/library/x"
    result = model(name)
    assert actions(result) == ["pull"]
    assert ollama.tags() == {f"{name}:latest": digest}


def test_present_model_is_removed(model, ollama, registry):
    digest = registry.offer("qwen2.5:7b-instruct")
    model()
    result = model(state="absent")
    assert result["changed"] is True
    assert result["model"] is None
    assert (result["diff"]["before"]["digest"], result["diff"]["after"]) == (digest, {})
    assert ollama.tags() == {}
    assert model(state="absent")["changed"] is False


def test_loaded_model_is_taken_out_of_memory_when_removed(model, run_module, ollama, registry):
    registry.offer("x")
    model("x")
    run_module("ollama_probe", url=ollama.url, name="x")
    assert ollama.engine.closed == 0
    assert actions(model("x", state="absent")) == ["unload", "delete"]
    assert ollama.engine.closed == 1


def test_progress_is_written_to_the_status_file(model, registry, tmp_path):
    registry.offer("x")
    model("x", status_file=str(tmp_path / "status"))
    status = json.loads((tmp_path / "status").read_text())
    assert status["name"] == "x:latest"
    assert status["bytes_total"] == sum(registry.layers("x").values())


def test_connection_is_taken_from_the_environment(run_module, ollama, monkeypatch, traffic):
    monkeypatch.setenv("OLLAMA_URL", ollama.url)
    run_module("ollama_model", name="x", state="absent")
    assert traffic.lines("ollama") == ["GET /api/tags"]


# --- check mode ----------------------------------------------------------------------------------

STARTS = {
    "absent": lambda _ollama, _registry: None,
    "present": lambda ollama, registry: ollama.pull("x", registry),
    "stale": lambda ollama, registry: (
        ollama.pull("x", registry),
        registry.offer("x", weights="newer"),
    ),
    "other tag": lambda ollama, registry: ollama.pull("x", registry, known_as="x:other"),
    "alias": lambda ollama, registry: ollama.pull("x", registry, known_as="y"),
    "other letters": lambda ollama, registry: ollama.pull("x", registry, known_as="X:Latest"),
    "leftover": lambda ollama, registry: (
        ollama.pull("x", registry),
        ollama.copy("x", f"{registry.url.removeprefix('http://')}/library/x"),
        ollama.delete("x"),
    ),
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("state", ["present", "latest", "absent"])
def test_check_mode_predicts_what_then_happens(model, ollama, registry, traffic, start, state):
    registry.offer("x")
    STARTS[start](ollama, registry)
    before = ollama.tags()
    traffic.clear()
    foreseen = model("x", state=state, check_mode=True)
    assert ollama.tags() == before
    done = model("x", state=state)
    for key in ("changed", "plan", "diff"):
        assert foreseen[key] == done[key], key
    told = foreseen["model"] or {}
    assert told.items() <= (done["model"] or {}).items()
    assert bool(foreseen["model"]) is bool(done["model"])
    changed = ollama.tags() != before
    assert done["changed"] is changed
    again = model("x", state=state)
    assert (again["changed"], again["plan"]["actions"]) == (False, [])


def test_check_mode_only_reads(model, registry, traffic):
    registry.offer("x")
    model("x", check_mode=True)
    blobs = [f"HEAD /api/blobs/{digest}" for digest in registry.layers("x")]
    assert traffic.lines("ollama") == ["GET /api/tags", "GET /api/version", *blobs]
    assert traffic.lines("registry") == ["GET /v2/library/x/manifests/latest"]


# --- faults --------------------------------------------------------------------------------------


def test_failed_update_leaves_the_old_model_served(model, ollama, registry):
    old = registry.offer("x")
    model("x")
    registry.offer("x", weights="newer")
    broken = next(iter(registry.layers("x")))
    registry.blob(broken).unlink()
    result = model("x", state="latest", fails=True)
    assert "file does not exist" in result["msg"]
    assert ollama.tags() == {"x:latest": old}


def test_next_run_completes_what_was_interrupted(model, ollama, registry):
    digest = registry.offer("x")
    config = registry.blob(list(registry.layers("x"))[-1])
    content = config.read_bytes()
    config.unlink()
    model("x", fails=True)
    config.write_bytes(content)
    result = model("x")
    assert result["plan"]["bytes_fetch"] == len(content)
    assert ollama.tags() == {"x:latest": digest}


def test_registry_that_changes_its_mind_meanwhile_fails_before_the_copy(
    model, ollama, registry, monkeypatch
):
    from ansible_collections.edgellm.host.plugins.module_utils.ollama import registry as protocol

    old = registry.offer("x")
    model("x")
    registry.offer("x", weights="newer")
    fetch = protocol.fetch

    def fetch_then_change(*args, **kwargs):
        offer = fetch(*args, **kwargs)
        registry.offer("x", weights="newest")
        return offer

    monkeypatch.setattr(protocol, "fetch", fetch_then_change)
    result = model("x", state="latest", fails=True)
    assert "a moment before" in result["msg"]
    assert ollama.tags() == {"x:latest": old}


@pytest.mark.parametrize("keep_previous", [True, False])
def test_wrong_version_pulled_under_the_very_name_is_put_back(
    model, ollama, registry, monkeypatch, keep_previous
):
    from ansible_collections.edgellm.host.plugins.module_utils.ollama import registry as protocol

    name = f"{registry.url.removeprefix('http://')}/library/x:latest"
    old = registry.offer("x")
    model(name)
    registry.offer("x", weights="newer")
    fetch = protocol.fetch

    def fetch_then_change(*args, **kwargs):
        offer = fetch(*args, **kwargs)
        registry.offer("x", weights="newest")
        return offer

    monkeypatch.setattr(protocol, "fetch", fetch_then_change)
    result = model(name, state="latest", keep_previous=keep_previous, fails=True)
    assert "a moment before" in result["msg"]
    kept = {f"{name}-prev-{old[:12]}": old} if keep_previous else {}
    assert ollama.tags() == {name: old, **kept}
    monkeypatch.undo()
    done = model(name, state="latest", keep_previous=keep_previous)
    assert done["snapshot"] is None
    assert ollama.tags() == {name: done["model"]["digest"], **kept}


@pytest.mark.parametrize("state", ["present", "latest"])
def test_unknown_model_is_refused_by_name(model, ollama, state):
    result = model("no-such-model", state=state, fails=True)
    assert "no-such-model:latest (404)" in result["msg"]
    assert ollama.tags() == {}


@pytest.mark.parametrize(
    "params",
    [
        {"name": "bad name"},
        {"name": "https://hf.co/a/b"},
        {"name": "x", "registry": "x@sha256:1"},
        {"name": "x", "registry_mirror": "mirror"},
        {"name": "x", "digest": "123"},
        {"name": "x:cloud"},
        {"name": "x", "url": "localhost"},
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(model, traffic, params):
    model(**params, fails=True)
    assert traffic.lines() == []


def test_server_that_is_down_is_told_with_the_remedy(model, nobody):
    result = model("x", url=nobody, fails=True)
    assert f"Ollama does not answer at {nobody}" in result["msg"]
    assert "edgellm status" in result["msg"]


# --- models from a GGUF file ---------------------------------------------------------------------

MODELFILE = "FROM /models/tiny/tiny.gguf\nPARAMETER num_ctx 1024\nPARAMETER temperature 0.7\n"


@pytest.fixture
def weights(tmp_path):
    """A GGUF file on the host."""
    path = tmp_path / "files" / "tiny.gguf"
    path.parent.mkdir()
    path.write_bytes(small_gguf("tiny"))
    return path


@pytest.fixture
def created(run_module, ollama, weights, tmp_path):
    """Run the module for a model of that file."""

    def run(**params):
        given = {
            "url": ollama.url,
            "timeout": 10,
            "name": "tiny",
            "gguf": str(weights),
            "modelfile": MODELFILE,
            "record": str(tmp_path / "record.json"),
        }
        given.update(params)
        given = {option: value for option, value in given.items() if value is not None}
        return run_module("ollama_model", **given)

    return run


def sent(traffic):
    return [seen.line for seen in traffic.requests if seen.mutates]


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edit(ollama, **fields):
    """Change the model as somebody would do by hand; gives its new digest."""
    ollama._post("create", {"model": "tiny", "from": "tiny", "stream": False, **fields})
    return ollama.tags()["tiny:latest"]


def test_model_is_created_from_a_file_and_its_modelfile(created, ollama, weights, traffic):
    result = created()
    assert result["changed"] is True
    assert ollama.tags() == {"tiny:latest": result["model"]["digest"]}
    size = weights.stat().st_size
    assert result["plan"] == {
        "actions": [
            {"action": name, "name": "tiny:latest", "bytes_fetch": 0, "bytes_reuse": 0,
             "bytes_upload": upload, "bytes_disk": size}
            for name, upload in (("upload", size), ("create", 0))
        ],
        "bytes_fetch": 0,
        "bytes_reuse": 0,
        "bytes_upload": size,
        # A server from 0.30 on writes the file anew.
        "bytes_disk": 2 * size,
    }  # fmt: skip
    blob = f"sha256:{sha256_of(weights)}"
    assert sent(traffic) == [f"POST /api/blobs/{blob}", "POST /api/create"]
    upload, create = (seen for seen in traffic.requests if seen.mutates)
    assert bytes(upload.body) == weights.read_bytes()
    assert upload.headers["content-length"] == str(size)
    assert create.json == {
        "model": "tiny:latest",
        "files": {"tiny.gguf": blob},
        "parameters": {"num_ctx": 1024, "temperature": 0.7},
        "stream": True,
    }


def test_second_run_changes_nothing_and_asks_for_one_list(created, weights, traffic):
    digest = created()["model"]["digest"]
    traffic.clear()
    again = created()
    assert (again["changed"], again["model"]["digest"]) == (False, digest)
    assert again["diff"]["before"] == again["diff"]["after"]
    assert traffic.lines() == ["GET /api/tags"]
    # With its hash known, the file is not even read.
    sha256 = sha256_of(weights)
    weights.unlink()
    assert created(gguf_sha256=sha256)["changed"] is False


@pytest.mark.parametrize(
    "text",
    [
        MODELFILE.replace("\n", "\r\n"),
        "# a comment\n" + MODELFILE,
        MODELFILE.replace("/models/tiny/", "./").replace("0.7", "7e-1"),
    ],
)
def test_modelfile_spelled_otherwise_is_the_same_model(created, text):
    created()
    assert created(modelfile=text)["changed"] is False


def test_crlf_gives_the_same_digest(created, ollama):
    text = MODELFILE + 'SYSTEM """a\nb"""\n'
    created(modelfile=text)
    before = ollama.tags()
    ollama.delete("tiny")
    created(modelfile=text.replace("\n", "\r\n"))
    assert ollama.tags() == before


def test_changed_modelfile_is_noticed(created, ollama):
    created()
    result = created(modelfile=MODELFILE.replace("0.7", "0.9"))
    assert actions(result) == ["create"]
    assert result["diff"]["before"]["parameters"] == {"num_ctx": 1024, "temperature": 0.7}
    assert result["diff"]["after"]["parameters"] == {"num_ctx": 1024, "temperature": 0.9}
    assert result["model"]["digest"] == ollama.tags()["tiny:latest"]


def test_changed_file_is_noticed(created, weights):
    created()
    weights.write_bytes(small_gguf("other"))
    result = created()
    assert actions(result) == ["upload", "create"]
    assert result["diff"]["before"]["gguf_sha256"] != result["diff"]["after"]["gguf_sha256"]


@pytest.mark.parametrize("keep_record", [True, False])
def test_model_changed_by_hand_is_kept_aside_and_put_back(created, ollama, tmp_path, keep_record):
    digest = created()["model"]["digest"]
    edited = edit(ollama, parameters={"temperature": 0.1}, system="be rude")
    if not keep_record:
        (tmp_path / "record.json").unlink()
    result = created()
    assert actions(result) == ["snapshot", "create"]
    assert result["snapshot"] == f"tiny:latest-prev-{edited[:12]}"
    assert ollama.tags()[result["snapshot"]] == edited
    told = {"recorded": digest, "present": edited}
    assert result["drift"] == (told if keep_record else None)
    assert result["diff"]["before"]["system"] == "be rude"
    assert result["diff"]["before"]["parameters"]["temperature"] == 0.1
    assert "system" not in result["diff"]["after"]
    assert ollama.tags()["tiny:latest"] == digest


def test_server_upgrade_alone_changes_nothing(created, tmp_path):
    created()
    record = tmp_path / "record.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "server_version": "0.9.0"}))
    assert created()["changed"] is False


def test_model_made_by_hand_is_taken_over_when_it_is_the_same(created, tmp_path, traffic):
    created(record=None)
    assert not (tmp_path / "record.json").exists()
    traffic.clear()
    result = created()
    assert (result["changed"], sent(traffic)) == (False, [])
    assert json.loads((tmp_path / "record.json").read_text())["digest"] == result["model"]["digest"]
    traffic.clear()
    created()
    assert traffic.lines() == ["GET /api/tags"]


def test_without_a_record_what_the_server_shows_decides(created, traffic):
    text = (
        MODELFILE
        + '''PARAMETER stop <|im_end|>
PARAMETER stop "a\\b "
PARAMETER seed 1048576
PARAMETER top_p 0.333333333
TEMPLATE """{{ .System }}
{{ .Prompt }}"""
SYSTEM """be
kind"""
LICENSE one
LICENSE two
MESSAGE user hi
MESSAGE assistant yes: no
'''
    )
    created(modelfile=text, record=None)
    traffic.clear()
    assert created(modelfile=text, record=None)["changed"] is False
    assert sent(traffic) == []
    assert created(record=None)["changed"] is True


def test_blob_that_is_there_is_not_uploaded_and_proves_nothing(created, ollama, weights, traffic):
    created()
    ollama.copy("tiny", "other")
    ollama.delete("tiny")
    traffic.clear()
    result = created()
    assert actions(result) == ["create"]
    assert result["plan"]["bytes_reuse"] == weights.stat().st_size
    assert sent(traffic) == ["POST /api/create"]


@pytest.mark.parametrize("start", ["absent", "same", "edited", "unrecorded", "blob only"])
def test_check_mode_predicts_a_creation(created, ollama, tmp_path, start):
    if start != "absent":
        created()
    if start == "edited":
        edit(ollama, parameters={"temperature": 0.1})
    elif start == "unrecorded":
        (tmp_path / "record.json").unlink()
    elif start == "blob only":
        ollama.copy("tiny", "other")
        ollama.delete("tiny")
    before = ollama.tags()
    foreseen = created(check_mode=True)
    assert ollama.tags() == before
    done = created()
    for key in ("changed", "plan", "diff"):
        assert foreseen[key] == done[key], key
    assert foreseen["model"]["full_name"] == done["model"]["full_name"]
    assert created()["changed"] is False


def test_file_that_is_still_to_come_can_be_predicted(created, weights):
    size, sha256 = weights.stat().st_size, sha256_of(weights)
    content = weights.read_bytes()
    weights.unlink()
    foreseen = created(gguf_sha256=sha256, gguf_size=size, check_mode=True)
    assert "does not exist" in created(gguf_sha256=sha256, gguf_size=size, fails=True)["msg"]
    assert "does not exist" in created(gguf_sha256=sha256, check_mode=True, fails=True)["msg"]
    weights.write_bytes(content)
    done = created(gguf_sha256=sha256, gguf_size=size)
    assert (foreseen["plan"], foreseen["diff"]) == (done["plan"], done["diff"])


def test_other_file_than_its_hash_says_is_refused_by_the_server(created, ollama):
    result = created(gguf_sha256="0" * 64, fails=True)
    assert "digest mismatch" in result["msg"]
    assert ollama.tags() == {}


def test_failed_creation_leaves_the_old_model_served(created, ollama, weights, tmp_path):
    digest = created()["model"]["digest"]
    record = json.loads((tmp_path / "record.json").read_text())
    weights.write_bytes(b"GGUF" + bytes(100))
    assert "not in GGUF format" in created(fails=True)["msg"]
    assert ollama.tags() == {"tiny:latest": digest}
    told = json.loads((tmp_path / "record.json").read_text())
    assert {**told, "intended": ""} == record


def test_progress_of_an_upload_is_written_to_the_status_file(created, weights, tmp_path):
    created(status_file=str(tmp_path / "status"))
    status = json.loads((tmp_path / "status").read_text())
    # Written once a second; what is so small is on its way before the second time.
    assert (status["bytes_done"], status["bytes_total"]) == (0, weights.stat().st_size)
    assert status["name"] == "tiny:latest"


def test_deprecated_parameter_is_left_out_with_a_warning(created, traffic, monkeypatch):
    warnings = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    created(modelfile=MODELFILE + "PARAMETER mirostat 1\n")
    (warning,) = warnings
    assert "line 4: the parameter mirostat is deprecated" in warning
    (request,) = (seen.json for seen in traffic.requests if seen.line == "POST /api/create")
    assert request["parameters"] == {"num_ctx": 1024, "temperature": 0.7}


def test_created_model_is_removed_like_any_other(created, ollama):
    created()
    assert actions(created(state="absent")) == ["delete"]
    assert ollama.tags() == {}
    assert created()["changed"] is True


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        (
            {"modelfile": "FROM /models/tiny/Tiny.gguf\n"},
            "line 1: FROM /models/tiny/Tiny.gguf names",
        ),
        ({"modelfile": "PARAMETER top_k 1\n"}, "no FROM line; write 'FROM "),
        ({"modelfile": MODELFILE + "PARAMETER num_ctx 4096.0\n"}, "line 4: invalid int value"),
        ({"modelfile": MODELFILE + "PARAMETER temprature 1\n"}, "did you mean 'temperature'?"),
        ({"state": "latest"}, "Use state=present"),
        ({"gguf_sha256": "1"}, "Invalid gguf_sha256"),
        ({"gguf_size": 1}, "not the 1 of gguf_size"),
        ({"gguf": "/nowhere/tiny.gguf"}, "/nowhere/tiny.gguf does not exist on the host"),
        ({"name": "bad name"}, "Invalid model name"),
        ({"name": "tiny:cloud"}, "cannot be created"),
        ({"record": "/nowhere/record.json"}, "folder of the record"),
        ({"registry": "x"}, "mutually exclusive"),
        ({"registry_mirror": "http://x"}, "mutually exclusive"),
        ({"gguf": None}, "line 1: FROM /models/tiny/tiny.gguf is a file. Give its path"),
    ],
)
def test_what_cannot_be_created_is_refused_before_anything_is_sent(
    created, traffic, params, complaint
):
    assert complaint in created(**params, fails=True)["msg"]
    assert traffic.lines() == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_file_that_is_no_gguf_is_refused_before_it_is_sent(created, weights, traffic, check_mode):
    weights.write_text("<html>Sign in")
    assert "is not a GGUF file" in created(check_mode=check_mode, fails=True)["msg"]
    assert sent(traffic) == []

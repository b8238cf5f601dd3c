# SPDX-License-Identifier: GPL-3.0-or-later
"""Models whose file is linked into the server's store."""

from __future__ import annotations

import errno
import hashlib
import json
import os

import pytest
from ansible.module_utils.basic import AnsibleModule

from tests.unit.conftest import small_gguf

TEXT = """FROM tiny.gguf
TEMPLATE "{{ .Prompt }}"
PARAMETER stop <|im_end|>
PARAMETER num_ctx 1024
"""


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "files" / "tiny.gguf"
    path.parent.mkdir()
    path.write_bytes(small_gguf("tiny"))
    return path


@pytest.fixture
def linked(run_module, ollama, weights, tmp_path):
    """Run the module for a model whose file may be linked."""
    (ollama.store / "blobs").mkdir(parents=True, exist_ok=True)

    def run(**params):
        given = {
            "url": ollama.url,
            "timeout": 10,
            "name": "tiny",
            "gguf": str(weights),
            "modelfile": TEXT,
            "store": str(ollama.store),
            "record": str(tmp_path / "record.json"),
        }
        given.update(params)
        given = {option: value for option, value in given.items() if value is not None}
        return run_module("ollama_model", **given)

    return run


@pytest.fixture
def warned(monkeypatch):
    warnings = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: warnings.append(text))
    return warnings


def actions(result):
    return [action["action"] for action in result["plan"]["actions"]]


def sent(traffic):
    return [seen.line for seen in traffic.requests if seen.mutates]


def blob_of(ollama, path):
    return ollama.store / "blobs" / f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}"


LINK = ["link", "copy", "delete"]


def test_file_is_linked_and_proven_under_another_name_first(linked, ollama, weights, traffic):
    result = linked()
    assert actions(result) == LINK
    assert (result["import_method"], result["import_reason"]) == ("link", None)
    assert result["plan"]["bytes_reuse"] == weights.stat().st_size
    assert result["plan"]["bytes_disk"] == result["plan"]["bytes_upload"] == 0
    assert sent(traffic) == ["POST /api/copy", "DELETE /api/delete"]
    assert ollama.tags() == {"tiny:latest": result["model"]["digest"]}
    assert blob_of(ollama, weights).samefile(weights)


@pytest.mark.parametrize("method", ["api", "auto"])
@pytest.mark.parametrize("name", ["tiny-00001-of-00002.gguf", "renamed.gguf"])
@pytest.mark.parametrize("check_mode", [True, False])
def test_part_of_a_split_model_is_refused_with_what_to_do(
    linked, weights, traffic, method, name, check_mode
):
    path = weights.with_name(name)
    path.write_bytes(small_gguf("tiny", parts=2))
    given = {"gguf": str(path), "modelfile": None, "import_method": method}
    result = linked(**given, check_mode=check_mode, fails=True)
    assert f"{path} is one of 2 files of a split model" in result["msg"]
    assert "llama-gguf-split --merge" in result["msg"]
    assert sent(traffic) == []


def test_split_model_that_is_yet_to_be_fetched_is_refused_by_its_name(linked, weights):
    path = weights.with_name("tiny-00001-of-00002.gguf")
    given = {"gguf": str(path), "gguf_sha256": "ab" * 32, "gguf_size": 5, "modelfile": None}
    assert "is one of 2 files" in linked(**given, check_mode=True, fails=True)["msg"]


def test_second_run_changes_nothing(linked, weights, traffic):
    digest = linked()["model"]["digest"]
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    traffic.clear()
    again = linked(gguf_sha256=sha256)
    assert (again["changed"], again["model"]["digest"]) == (False, digest)
    assert again["import_method"] is None
    assert traffic.lines() == ["GET /api/tags"]


@pytest.mark.parametrize("start", ["absent", "linked", "uploaded", "edited", "unrecorded"])
def test_check_mode_predicts_even_the_digest(linked, ollama, tmp_path, start):
    if start == "uploaded":
        linked(import_method="api")
        (tmp_path / "record.json").unlink()
    elif start != "absent":
        linked()
    if start == "edited":
        body = {"model": "tiny", "from": "tiny", "system": "rude", "stream": False}
        ollama._post("create", body)
    elif start == "unrecorded":
        (tmp_path / "record.json").unlink()
    before = ollama.tags()
    foreseen = linked(check_mode=True)
    assert ollama.tags() == before
    done = linked()
    for key in ("changed", "plan", "diff", "drift", "snapshot", "import_method"):
        assert foreseen[key] == done[key], key
    for key in ("name", "digest", "size"):
        assert foreseen["model"][key] == done["model"][key], key
    assert linked()["changed"] is False


def test_digest_of_a_link_can_be_pinned_anywhere(linked, ollama, traffic):
    digest = linked(check_mode=True)["model"]["digest"]
    assert linked(digest=digest)["model"]["digest"] == digest
    ollama.delete("tiny")
    assert linked(digest=digest)["import_method"] == "link"
    assert linked(digest=digest)["changed"] is False
    traffic.clear()


def test_model_that_was_uploaded_stays(linked, traffic):
    linked(import_method="api")
    traffic.clear()
    assert linked()["changed"] is False
    assert linked(import_method="link")["changed"] is False
    assert sent(traffic) == []


@pytest.mark.parametrize("way", ["api", "link"])
def test_model_that_is_taken_over_is_recorded_as_what_it_is(linked, tmp_path, way):
    linked(import_method=way)
    (tmp_path / "record.json").unlink()
    again = linked()
    assert (again["changed"], again["recorded"]["way"]) == (False, way)


@pytest.mark.parametrize("text", ["FROM tiny.gguf\n", 'FROM tiny.gguf\nTEMPLATE "{{ .Prompt }}"\n'])
def test_what_the_server_would_detect_is_uploaded_with_the_reason(linked, ollama, warned, text):
    result = linked(modelfile=text, import_method="link")
    assert actions(result) == ["upload", "create"]
    assert result["import_method"] == "api"
    assert "which Ollama looks up" in result["import_reason"]
    assert any(result["import_reason"] in warning for warning in warned)
    warned.clear()
    ollama.delete("tiny")
    assert linked(modelfile=text)["import_method"] == "api"
    assert warned == []


def test_file_without_a_chat_template_has_nothing_that_could_be_detected(linked, weights):
    weights.write_bytes(small_gguf("tiny", chats=False))
    assert linked(modelfile="FROM tiny.gguf\n")["import_method"] == "link"


def test_store_of_another_server_is_noticed_and_left_as_it_was(linked, ollama, tmp_path):
    other = tmp_path / "other"
    (other / "blobs").mkdir(parents=True)
    refused = linked(store=str(other), fails=True)
    assert "does not see it. Is that the store of this server?" in refused["msg"]
    assert ollama.tags() == {}
    assert [path for path in other.glob("manifests/**/*") if path.is_file()] == []


def test_template_with_a_mistake_leaves_the_old_model_served(linked, ollama):
    digest = linked()["model"]["digest"]
    refused = linked(modelfile=TEXT.replace("{{ .Prompt }}", "{{ if }}"), fails=True)
    assert "cannot be served as it is described" in refused["msg"]
    assert ollama.tags() == {"tiny:latest": digest}


def test_tag_with_no_room_for_another_name_is_uploaded(linked):
    result = linked(name=f"tiny:{'t' * 70}")
    assert (result["import_method"], actions(result)) == ("api", ["upload", "create"])
    assert "too long" in result["import_reason"]


def test_where_no_link_is_possible_the_file_is_copied_with_a_word(
    linked, ollama, weights, monkeypatch
):
    def refuse(*_names):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    result = linked()
    assert result["import_method"] == "link"
    assert "was copied, because the file and the store lie on different" in result["import_reason"]
    assert not blob_of(ollama, weights).samefile(weights)
    assert blob_of(ollama, weights).read_bytes() == weights.read_bytes()


def test_file_that_is_not_what_its_hash_says_never_gets_into_the_store(linked, ollama):
    assert "not the 0000" in linked(gguf_sha256="0" * 64, fails=True)["msg"]
    assert ollama.tags() == {}
    assert list((ollama.store / "blobs").iterdir()) == []


def test_removed_model_leaves_its_file(linked, ollama, weights):
    linked()
    content = weights.read_bytes()
    linked(state="absent")
    assert ollama.tags() == {}
    assert weights.read_bytes() == content
    assert linked()["changed"] is True


def test_touched_file_changes_nothing(linked, weights):
    # A server that makes another model of the same blob touches it, and so the linked file.
    linked()
    os.utime(weights)
    assert linked()["changed"] is False


def test_changed_modelfile_is_linked_anew_and_the_old_one_kept_if_asked(linked, ollama):
    first = linked()["model"]["digest"]
    result = linked(modelfile=TEXT.replace("1024", "2048"), keep_previous=True)
    assert actions(result) == ["snapshot", *LINK]
    assert result["diff"]["before"]["parameters"]["num_ctx"] == 1024
    assert result["diff"]["after"]["parameters"]["num_ctx"] == 2048
    assert ollama.tags()[f"tiny:latest-prev-{first[:12]}"] == first


def test_record_tells_the_way(linked, tmp_path):
    linked()
    assert json.loads((tmp_path / "record.json").read_text())["way"] == "link"


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"import_method": "link", "store": None}, "store"),
        ({"import_method": "link", "gguf": None, "from": "x"}, "gguf"),
        ({"store": "/nowhere"}, "/nowhere"),
    ],
)
def test_link_that_cannot_be_is_refused(linked, traffic, params, complaint):
    assert complaint in linked(**params, fails=True)["msg"]
    assert sent(traffic) == []


@pytest.mark.parametrize("check_mode", [True, False])
def test_name_left_over_by_a_run_that_was_broken_off_goes(linked, ollama, weights, check_mode):
    digest = linked()["model"]["digest"]
    aside = f"tiny:latest-next-{digest[:12]}"
    ollama.copy("tiny", aside)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.unlink()
    result = linked(gguf_sha256=sha256, check_mode=check_mode)
    assert (result["changed"], actions(result)) == (True, ["delete"])
    assert result["diff"]["before"]["left_over"] == aside
    assert (aside in ollama.tags()) is check_mode
    assert linked(gguf_sha256=sha256, check_mode=check_mode)["changed"] is check_mode

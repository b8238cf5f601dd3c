# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module makes of its options; how files are fetched is tested beside the engine."""

from __future__ import annotations

import hashlib
import json
import os
import re

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import board, partial, patience

from tests.unit.file_server import COMMIT, Fault, FileServer

CONTENT = b"GGUF" + os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(patience, "BASE_SECONDS", 0.0)
    with FileServer(CONTENT).running() as server:
        yield server


@pytest.fixture
def dest(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / "x.gguf"


@pytest.fixture
def have(run_module, server, dest):
    """Run the module with a file of the repository."""

    def have(**params):
        if "url" not in params and params.get("state") != "absent":
            params = {"repo": "n/r", "file": "x.gguf", "endpoint": server.endpoint, **params}
        return run_module("gguf_file", **{"dest": str(dest), **params})

    return have


def test_file_is_fetched_and_then_left_alone(have, server, dest):
    result = have()
    assert dest.read_bytes() == CONTENT
    assert dest.stat().st_mode & 0o777 == 0o644
    del result["invocation"]
    assert result.pop("elapsed") >= 0
    assert result == {
        "changed": True,
        "diff": {
            "before": {"state": "absent"},
            "after": {"state": "present", "size": len(CONTENT), "sha256": SHA256},
        },
        "path": str(dest),
        "sha256": SHA256,
        "size": len(CONTENT),
        "commit": COMMIT,
        "source": f"{server.endpoint}/n/r/resolve/{COMMIT}/x.gguf",
        "bytes_fetched": len(CONTENT),
        "bytes_reused": 0,
        "retries": 0,
    }
    server.seen.clear()
    again = have()
    assert (again["changed"], again["bytes_fetched"], server.seen) == (False, 0, [])
    assert again["diff"]["before"] == again["diff"]["after"]


@pytest.mark.parametrize("before", [None, CONTENT[:1000], b"another one" * 50_000])
def test_check_mode_predicts_what_then_happens(have, dest, before):
    if before:
        dest.write_bytes(before)
    foreseen = have(check_mode=True)
    assert list(dest.parent.iterdir()) == ([dest] if before else [])
    result = have()
    for key in ("changed", "diff", "sha256", "size", "commit", "source", "bytes_fetched"):
        assert foreseen[key] == result[key]


def test_folder_that_was_only_predicted_is_no_obstacle_in_check_mode(have, dest):
    elsewhere = dest.parent / "not" / "yet" / dest.name
    foreseen = have(dest=str(elsewhere), check_mode=True)
    assert foreseen["changed"] is True
    assert foreseen["bytes_fetched"] == foreseen["size"]
    assert not elsewhere.parent.exists()


@pytest.mark.parametrize("check_mode", [True, False])
def test_mode_alone_is_a_change(have, dest, check_mode):
    have()
    result = have(mode="0600", check_mode=check_mode)
    assert result["changed"] is True
    assert (result["diff"]["before"]["mode"], result["diff"]["after"]["mode"]) == ("0644", "0600")
    assert dest.stat().st_mode & 0o777 == (0o644 if check_mode else 0o600)
    assert have(mode="0600")["changed"] is check_mode


def test_owner_and_group_are_set_before_the_file_has_its_name(have, dest):
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    have(owner="1234", group="1235", mode="u=rw,g=r,o=")
    found = dest.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 1235, 0o640)


@pytest.mark.parametrize("check_mode", [True, False])
def test_absent_removes_everything_that_belongs_to_the_file(have, dest, check_mode):
    have()
    (dest.parent / "x.gguf.0123456789ab.part").write_text("left")
    result = have(state="absent", check_mode=check_mode)
    assert result["changed"] is True
    assert result["diff"] == {"before": {"state": "present"}, "after": {"state": "absent"}}
    assert bool(list(dest.parent.iterdir())) is check_mode
    if not check_mode:
        assert have(state="absent")["changed"] is False


def test_lanes_and_chunks_are_as_wished(have, server, dest, monkeypatch):
    monkeypatch.setattr(board, "LEAST_CHUNK", 1)
    server.content = b"GGUF" + os.urandom(3 * 1024 * 1024)
    assert have(lanes=1)["bytes_fetched"] == len(server.content)
    assert [seen.range for seen in server.requests()] == [None]
    server.seen.clear()
    dest.unlink()
    have(lanes=2, chunk_size=1024 * 1024)
    assert dest.read_bytes() == server.content
    # A quarter of what each lane would have, so that the hash can follow.
    assert len(server.requests()) == 8


def test_damage_that_left_size_and_time_is_found_on_request(have, dest):
    have()
    found = dest.stat()
    dest.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    os.utime(dest, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert have()["changed"] is False
    assert have(verify="always", check_mode=True)["bytes_fetched"] == len(CONTENT)
    assert have(verify="always")["changed"] is True
    assert dest.read_bytes() == CONTENT


@pytest.mark.parametrize(("copies", "fits"), [(0, True), (1, True), (2, False)])
def test_import_that_would_not_fit_is_refused(have, server, dest, monkeypatch, copies, fits):
    monkeypatch.setattr(partial, "free_bytes", lambda _folder: 2 * len(CONTENT))
    store = dest.parent.parent / "store"
    result = have(import_store=str(store), import_copies=copies, fails=not fits)
    assert dest.exists() is fits
    if not fits:
        assert f"for its import into {store}" in result["msg"]
        assert result["bytes_needed"] == 3 * len(CONTENT)
        assert server.sent == 0


def test_journal_that_is_not_one_is_a_warning(have, server, dest):
    server.faults.append(Fault(after=100_000, end="cut"))
    have(retries=0, fails=True)
    (journal,) = dest.parent.glob("*.part.json")
    journal.write_text("{}")
    (warning,) = have()["warnings"]
    assert f"{journal} is not a journal" in str(warning)
    assert dest.read_bytes() == CONTENT


def test_record_may_lie_elsewhere(have, dest, tmp_path, server):
    record = tmp_path / "record.json"
    have(record=str(record))
    assert list(dest.parent.iterdir()) == [dest]
    assert json.loads(record.read_bytes())["sha256"] == SHA256
    server.seen.clear()
    have(record=str(record))
    assert server.seen == []


def test_address_copied_from_a_page_is_understood(have, server):
    result = have(url=f"{server.endpoint}/n/r/blob/main/x.gguf", endpoint=server.endpoint)
    assert result["commit"] == COMMIT


def test_plain_address_is_fetched_without_telling_its_secret(have, server, dest):
    server.faults.append(Fault(after=100_000, end="cut"))
    url = f"{server.plain}?Signature=hush"
    failed = have(url=url, retries=0, fails=True)
    result = have(url=url)
    assert dest.read_bytes() == CONTENT
    assert result["source"] == server.plain
    assert "hush" not in json.dumps([failed, result])
    assert server.plain in failed["msg"]


def test_mirror_delivers_without_telling_its_secret(have, server, dest):
    result = have(mirrors=["http://127.0.0.1:1/?Signature=tell", f"{server.plain}?Signature=hush"])
    assert dest.read_bytes() == CONTENT
    assert result["source"] == server.plain
    assert "127.0.0.1:1" in str(result["warnings"])
    assert not {"hush", "tell"} & set(re.findall("[a-z]+", json.dumps(result)))


def test_address_without_a_secret_is_shown_as_it_is(have, server):
    result = have(url=server.plain)
    assert result["source"] == result["invocation"]["module_args"]["url"] == server.plain


def test_endpoint_and_token_come_from_the_environment(run_module, server, dest, monkeypatch):
    server.token = "hf_secret"
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    result = run_module("gguf_file", repo="n/r", file="x.gguf", dest=str(dest))
    assert dest.read_bytes() == CONTENT
    assert "hf_secret" not in json.dumps(result)


def test_what_is_no_gguf_is_refused(have, server, dest):
    server.content = b"PK" + CONTENT
    result = have(fails=True, retries=0)
    assert "begins with b'PK" in result["msg"]
    assert not dest.exists()


def test_mismatch_names_both_hashes(have, server, dest):
    result = have(url=server.plain, sha256="sha256:" + "AB" * 32, fails=True)
    assert (result["expected"], result["got"]) == ("ab" * 32, SHA256)
    assert list(dest.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"repo": "a/b/c"}, "is not a repository"),
        ({"file": "../x"}, "is not a path inside"),
        ({"url": "x.gguf"}, "must be http"),
        ({"endpoint": "huggingface.co"}, "must be http"),
        ({"import_copies": -1, "import_store": "/x"}, "import_copies -1 cannot be"),
        ({"lanes": 0}, "lanes 0 is too little: it must be at least 1"),
        ({"chunk_size": 1000}, "chunk_size 1000 is too little"),
        ({"max_rate": 0}, "max_rate 0 is too little"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_request(have, server, params, said):
    assert said in have(**params, fails=True)["msg"]
    assert server.seen == []


def test_something_to_fetch_must_be_named(run_module, dest):
    result = run_module("gguf_file", dest=str(dest), fails=True)
    assert "any of the following are missing: url, repo" in result["msg"]


def test_progress_is_written_where_somebody_looks(have, tmp_path):
    status = tmp_path / "status"
    have(status_file=str(status))
    said = json.loads(status.read_bytes())
    assert (said["name"], said["bytes_total"], said["pid"]) == (
        "x.gguf",
        len(CONTENT),
        os.getpid(),
    )

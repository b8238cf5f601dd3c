# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module makes of its options; how files are fetched is tested beside the engine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    board,
    engine,
    partial,
    patience,
)

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
        "files": [
            {
                "path": str(dest),
                "sha256": SHA256,
                "size": len(CONTENT),
                "source": f"{server.endpoint}/n/r/resolve/{COMMIT}/x.gguf",
                "bytes_fetched": len(CONTENT),
                "bytes_reused": 0,
            }
        ],
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


def test_mode_is_left_to_the_run_that_tells_of_it(have, dest, monkeypatch):
    have()
    os.utime(dest, (1, 1))
    monkeypatch.setattr(engine, "AT_ONCE", 1000)
    assert have(mode="0600", fetch_at_most=0)["deferred"] is True
    assert dest.stat().st_mode & 0o777 == 0o644
    assert have(mode="0600")["changed"] is True


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


def test_absent_removes_a_link_and_what_it_leads_to(have, dest, tmp_path):
    there = tmp_path / "y.gguf"
    dest.symlink_to(there)
    have()
    assert dest.is_symlink()
    assert there.exists()
    assert have(state="absent", check_mode=True)["changed"] is True
    assert have(state="absent")["changed"] is True
    assert (dest.is_symlink(), there.exists(), list(dest.parent.iterdir())) == (False, False, [])
    assert have(state="absent")["changed"] is False


def test_what_cannot_be_removed_is_named(have, dest, tmp_path):
    result = have(state="absent", record=str(tmp_path), fails=True)
    assert result["msg"] == f"{tmp_path}: Is a directory."


def test_lanes_and_chunks_are_as_wished(have, server, dest, monkeypatch):
    monkeypatch.setattr(board, "LEAST_CHUNK", 1024 * 1024)
    server.content = b"GGUF" + os.urandom(3 * 1024 * 1024)
    assert have(lanes=1)["bytes_fetched"] == len(server.content)
    assert [seen.range for seen in server.requests()] == [None]
    server.seen.clear()
    dest.unlink()
    have(lanes=2, chunk_size=1024 * 1024)
    assert dest.read_bytes() == server.content
    assert len(server.requests()) == 4


def test_damage_that_left_size_and_time_is_found_on_request(have, dest):
    have()
    found = dest.stat()
    dest.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    os.utime(dest, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert have()["changed"] is False
    assert have(verify="always", check_mode=True)["bytes_fetched"] == len(CONTENT)
    assert have(verify="always")["changed"] is True
    assert dest.read_bytes() == CONTENT


def test_what_is_put_off_needs_no_room_here(have, dest, monkeypatch):
    # So the controller can ask for a host that has nothing yet.
    monkeypatch.setattr(partial, "free_bytes", lambda _folder: 0)
    result = have(fetch_at_most=0, check_mode=True)
    assert (result["size"], result["bytes_fetched"]) == (len(CONTENT), len(CONTENT))
    assert have(fetch_at_most=0)["deferred"] is True
    assert "0 bytes free" in have(check_mode=True, fails=True)["msg"]


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
    warning = str(result["warnings"])
    assert "A mirror is left out. http://127.0.0.1:1/ cannot be reached" in warning
    assert "run it again" not in warning
    assert not {"hush", "tell"} & set(re.findall("[a-z]+", json.dumps(result)))


@pytest.mark.parametrize("address", ["me:hush@{host}/plain/x.gguf", "http://me:hush@{host}:x/"])
def test_address_that_is_none_is_refused_without_telling_its_secret(have, server, address):
    url = address.format(host=server.url.removeprefix("http://"))
    failed = have(url=url, fails=True)
    assert "hush" not in json.dumps(failed)
    assert failed["msg"].startswith("url ")


def test_user_and_password_of_an_address_reach_the_server_and_nobody_else(have, server, dest):
    url = server.plain.replace("http://", "http://me:hush@")
    result = have(url=url)
    assert dest.read_bytes() == CONTENT
    basic = base64.b64encode(b"me:hush").decode()
    assert {seen.headers.get("authorization") for seen in server.seen} == {f"Basic {basic}"}
    assert "hush" not in json.dumps(result)
    assert not any("hush" in path.read_text("latin-1") for path in dest.parent.glob(".*"))


def test_user_and_password_of_an_endpoint_reach_the_server_and_nobody_else(have, server, dest):
    result = have(endpoint=server.endpoint.replace("http://", "http://me:hush@"))
    assert dest.read_bytes() == CONTENT
    assert "hush" not in json.dumps(result)
    assert result["source"].startswith(server.endpoint)
    assert not any("hush" in path.read_text("latin-1") for path in dest.parent.glob(".*"))


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
    assert "Is sha256 right?" in result["msg"]
    assert list(dest.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"repo": "a/b/c"}, "is not a repository"),
        ({"file": "../x"}, "is not a path inside"),
        ({"url": "x.gguf"}, "url 'x.gguf' must be http"),
        ({"url": "http://[x.gguf"}, "url 'http://[x.gguf' is no address"),
        ({"endpoint": "huggingface.co"}, "endpoint 'huggingface.co' must be http"),
        ({"mirrors": ["lan/x.gguf"]}, "mirrors: the address 'lan/x.gguf' must be http"),
        ({"import_copies": -1, "import_store": "/x"}, "import_copies -1 cannot be"),
        ({"lanes": 0}, "lanes 0 is too little: it must be at least 1"),
        ({"chunk_size": 1000}, "chunk_size 1000 is too little"),
        ({"max_rate": 0}, "max_rate 0 is too little"),
        ({"lanes": 65}, "lanes 65 is too much"),
        ({"timeout": 0}, "timeout 0 is too little"),
        ({"retries": -1}, "retries -1 is too little"),
        ({"size": 0}, "size 0 is too little"),
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


# --- one model in several files ------------------------------------------------------------------

PARTS = {
    f"m-{number:05}-of-00003.gguf": b"GGUF" + os.urandom(50_000 * number) for number in (1, 2, 3)
}
NAMES = list(PARTS)
HASHES = [hashlib.sha256(content).hexdigest() for content in PARTS.values()]
TOTAL = sum(map(len, PARTS.values()))


@pytest.fixture
def split(server):
    server.files = dict(PARTS)
    return server


@pytest.fixture
def have_split(have, split, dest):
    """Run the module with a file of the split model."""

    def have_split(named=NAMES[0], to=NAMES[0], **params):
        if "url" not in params and params.get("state") != "absent":
            params = {"file": f"sub/{named}", **params}
        return have(dest=str(dest.parent / to), **params)

    return have_split


def asked(server, method="GET"):
    return [seen.path.rpartition("/")[2] for seen in server.requests(method)]


@pytest.mark.parametrize("named", NAMES)
@pytest.mark.parametrize("to", NAMES)
def test_any_file_of_a_model_means_them_all(have_split, split, dest, named, to):
    foreseen = have_split(named, to, check_mode=True)
    assert list(dest.parent.iterdir()) == []
    result = have_split(named, to)
    for name, content in PARTS.items():
        assert (dest.parent / name).read_bytes() == content
    for key in ("changed", "diff", "sha256", "size", "commit", "source", "bytes_fetched", "path"):
        assert foreseen[key] == result[key]
    # The first is what programs take that read split models.
    assert result["path"] == str(dest.parent / NAMES[0])
    assert (result["size"], result["bytes_fetched"], result["commit"]) == (TOTAL, TOTAL, COMMIT)
    assert [file["path"] for file in result["files"]] == [str(dest.parent / name) for name in NAMES]
    assert [file["sha256"] for file in result["files"]] == HASHES
    assert result["sha256"] == HASHES[0]
    assert list(result["diff"]["after"]) == NAMES
    split.seen.clear()
    again = have_split(named, to)
    assert (again["changed"], again["bytes_fetched"], split.seen) == (False, 0, [])


def test_all_files_are_of_one_commit(have_split, split):
    have_split()
    revisions = [seen.path.split("/")[5] for seen in split.seen if seen.path.startswith("/hub/")]
    assert revisions[0] == "main"
    assert set(revisions[1:]) == {COMMIT}


def test_file_that_is_missing_is_of_the_commit_of_the_others(have_split, split, dest):
    have_split()
    (dest.parent / NAMES[0]).unlink()
    split.seen.clear()
    assert have_split()["changed"] is True
    assert {seen.path.split("/")[5] for seen in split.seen if "/hub/" in seen.path} == {COMMIT}
    # Nothing is there any more, so the branch decides anew.
    for name in NAMES:
        (dest.parent / name).unlink()
    split.seen.clear()
    have_split()
    assert split.seen[0].path.split("/")[5] == "main"


def test_address_of_a_file_means_its_neighbours_too(have_split, split, dest):
    result = have_split(url=f"{split.url}/plain/{NAMES[1]}?Signature=hush")
    assert (dest.parent / NAMES[2]).read_bytes() == PARTS[NAMES[2]]
    assert result["source"] == f"{split.url}/plain/{NAMES[0]}"
    assert {seen.query for seen in split.seen} == {"Signature=hush"}
    assert "hush" not in json.dumps(result)


def test_mirror_has_all_files(have_split, split, dest):
    result = have_split(mirrors=[f"{split.url}/plain/{NAMES[2]}"])
    assert [file["source"] for file in result["files"]] == [
        f"{split.url}/plain/{name}" for name in NAMES
    ]


def test_only_what_is_missing_is_fetched(have_split, split, dest):
    (dest.parent / NAMES[1]).write_bytes(PARTS[NAMES[1]])
    (dest.parent / NAMES[2]).write_bytes(PARTS[NAMES[2]][:70_000])
    foreseen = have_split(check_mode=True)
    assert asked(split) == []
    result = have_split()
    expected = TOTAL - len(PARTS[NAMES[1]]) - 70_000
    assert foreseen["bytes_fetched"] == result["bytes_fetched"] == expected
    assert foreseen["bytes_reused"] == result["bytes_reused"] == 70_000
    assert asked(split) == [NAMES[0], NAMES[2]]


def test_files_that_came_before_a_break_are_not_fetched_again(have_split, split, dest):
    broken = "m-00002-of-00003.gguf"
    split.files[broken] = b"PK" + PARTS[broken]
    have_split(retries=0, fails=True)
    split.files[broken] = PARTS[broken]
    split.seen.clear()
    assert have_split()["bytes_fetched"] == TOTAL - len(PARTS[NAMES[0]])
    assert asked(split) == NAMES[1:]


def test_room_is_for_all_files_together(have_split, split, dest, monkeypatch):
    monkeypatch.setattr(partial, "free_bytes", lambda _folder: TOTAL - 1)
    result = have_split(fails=True)
    assert result["bytes_needed"] == TOTAL
    assert (split.sent, list(dest.parent.iterdir())) == (0, [])


def test_import_is_of_all_files_though_one_is_there(have_split, dest, monkeypatch):
    (dest.parent / NAMES[0]).write_bytes(PARTS[NAMES[0]])
    missing = TOTAL - len(PARTS[NAMES[0]])
    monkeypatch.setattr(partial, "free_bytes", lambda _folder: missing + TOTAL - 1)
    store = {"import_store": str(dest.parent)}
    assert have_split(**store, fails=True)["bytes_needed"] == missing + TOTAL
    monkeypatch.setattr(partial, "free_bytes", lambda _folder: missing + TOTAL)
    assert have_split(**store)["bytes_fetched"] == missing
    monkeypatch.setattr(partial, "free_bytes", lambda _folder: 0)
    assert have_split(**store)["changed"] is False


def test_hashes_are_those_of_the_files_in_their_order(have_split, split):
    assert "sha256 has 2 entries" in have_split(sha256=HASHES[:2], fails=True)["msg"]
    assert split.seen == []
    wrong = have_split(sha256=[HASHES[1], HASHES[0], HASHES[2]], fails=True)
    assert "but sha256 says" in wrong["msg"]
    assert have_split(sha256=HASHES)["changed"] is True


def test_size_is_of_all_files_together(have_split, split):
    assert f"have {TOTAL} bytes together" in have_split(size=TOTAL - 1, fails=True)["msg"]
    assert split.sent == 0
    assert have_split(size=TOTAL)["changed"] is True


def test_what_is_too_much_together_is_deferred(have_split, split, dest):
    result = have_split(fetch_at_most=TOTAL - 1)
    assert (result["deferred"], result["bytes_fetched"]) == (True, TOTAL)
    assert (split.sent, list(dest.parent.iterdir())) == (0, [])
    assert "deferred" not in have_split(fetch_at_most=TOTAL)


@pytest.mark.parametrize("check_mode", [True, False])
def test_absent_removes_all_files(have_split, dest, check_mode):
    have_split()
    (dest.parent / f"{NAMES[2]}.0123456789ab.part").write_text("left")
    result = have_split(to=NAMES[1], state="absent", check_mode=check_mode)
    assert result["changed"] is True
    assert bool(list(dest.parent.iterdir())) is check_mode
    if not check_mode:
        assert have_split(state="absent")["changed"] is False


def test_mode_is_that_of_all_files(have_split, dest):
    have_split()
    result = have_split(mode="0600")
    assert [result["diff"]["after"][name]["mode"] for name in NAMES] == ["0600"] * 3
    assert {(dest.parent / name).stat().st_mode & 0o777 for name in NAMES} == {0o600}


def test_records_lie_together_elsewhere(have_split, dest, tmp_path, split):
    have_split(record=str(tmp_path / "kept.json"))
    assert sorted(path.name for path in tmp_path.glob("kept*")) == [
        f"kept-{number:05}.json" for number in (1, 2, 3)
    ]
    assert sorted(path.name for path in dest.parent.iterdir()) == NAMES
    split.seen.clear()
    have_split(record=str(tmp_path / "kept.json"))
    assert split.seen == []


@pytest.mark.parametrize(
    ("named", "to", "params", "said"),
    [
        (NAMES[0], "x.gguf", {}, "dest must end in -00001-of-00003.gguf"),
        (NAMES[0], "m-00001-of-00002.gguf", {}, "dest must end in -00001-of-00003.gguf"),
        ("x.gguf", NAMES[0], {}, "dest is one of 3 files"),
        ("x-00004-of-00003.gguf", NAMES[0], {}, "cannot be part 4 of 3"),
        (NAMES[0], NAMES[0], {"mirrors": ["http://127.0.0.1:1/x.gguf"]}, "has 1 of the files"),
    ],
)
def test_names_that_do_not_agree_are_refused(have_split, split, named, to, params, said):
    assert said in have_split(named, to, **params, fails=True)["msg"]
    assert split.seen == []

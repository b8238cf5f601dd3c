# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole downloads against a server that misbehaves: one test for each rule."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    engine,
    errors,
    partial,
    patience,
    record,
)

from tests.unit.file_server import COMMIT, Fault

SIZE = 3_000_000
CUT = 1_000_000


def names(folder):
    return sorted(path.name for path in folder.iterdir())


COMPLETE = [".x.gguf.edgellm.json", "x.gguf"]


@pytest.fixture
def cut(server, fetch, dest):
    """Begin a download and have it end in the middle."""

    def cut(where, *, after=CUT, **how):
        server.faults.append(Fault(after=after, end="cut"))
        with pytest.raises(errors.DownloadError, match=r"too early|failed"):
            fetch(where, retries=0, **how)
        assert not dest.exists()
        server.seen.clear()

    return cut


# --- the plain case ------------------------------------------------------------------------------


def test_file_of_a_repository_arrives_with_its_commit(server, fetch, hub, dest, folder, content):
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    assert outcome == engine.Outcome(
        changed=True,
        diff={
            "before": {"state": "absent"},
            "after": {"state": "present", "size": len(content), "sha256": server.sha256},
        },
        sha256=server.sha256,
        size=len(content),
        commit=COMMIT,
        source=f"{server.endpoint}/n/r/resolve/{COMMIT}/x.gguf",
        bytes_fetched=len(content),
    )
    assert names(folder) == COMPLETE
    # The branch is asked once, and what it meant is fetched.
    assert [(seen.method, seen.path) for seen in server.seen] == [
        ("HEAD", "/hub/n/r/resolve/main/x.gguf"),
        ("GET", f"/hub/n/r/resolve/{COMMIT}/x.gguf"),
        ("GET", "/signed/x"),
    ]


def test_file_of_an_address_arrives(server, fetch, plain, dest, folder, content):
    outcome = fetch(plain())
    assert dest.read_bytes() == content
    assert (outcome.changed, outcome.sha256, outcome.commit) == (True, server.sha256, None)
    assert names(folder) == COMPLETE


def test_second_run_asks_nobody_and_reads_nothing(server, fetch, hub, dest, monkeypatch):
    first = fetch(hub())
    server.seen.clear()
    monkeypatch.setattr(engine, "sha256_of", lambda *_how: pytest.fail("hashed"))
    second = fetch(hub())
    assert server.seen == []
    assert (second.changed, second.sha256, second.commit) == (False, first.sha256, COMMIT)
    assert (second.bytes_fetched, second.diff["before"]) == (0, second.diff["after"])


def test_check_mode_says_the_exact_bytes_and_touches_nothing(server, fetch, hub, folder, content):
    outcome = fetch(hub(), check_mode=True)
    assert (outcome.changed, outcome.bytes_fetched) == (True, len(content))
    assert (outcome.sha256, outcome.commit) == (server.sha256, COMMIT)
    assert names(folder) == []
    assert [seen.method for seen in server.seen] == ["HEAD"]


def test_check_mode_counts_what_can_be_reused(fetch, hub, cut, folder, content):
    cut(hub())
    before = names(folder)
    outcome = fetch(hub(), check_mode=True)
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (len(content) - CUT, CUT)
    assert names(folder) == before


def test_what_is_too_much_for_now_is_deferred(fetch, hub, folder, content):
    outcome = fetch(hub(), fetch_at_most=len(content) - 1)
    assert (outcome.deferred, outcome.changed, outcome.bytes_fetched) == (True, True, len(content))
    assert names(folder) == []
    assert fetch(hub(), fetch_at_most=len(content)).deferred is False


def test_link_at_the_place_is_hashed_by_what_it_leads_to(fetch, hub, dest, content, tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(content)
    dest.symlink_to(target)
    assert fetch(hub()).changed is False


# --- rule 1: the identity is in the name and in the journal --------------------------------------


def test_partial_carries_the_identity_and_no_secret(server, cut, hub, folder):
    cut(hub())
    part = f"x.gguf.{server.sha256[:12]}.part"
    assert names(folder) == [part, f"{part}.json"]
    assert json.loads((folder / f"{part}.json").read_bytes()) == {
        "journal": 2,
        "identity": {
            "source": "n/r/x.gguf",
            "size": len(server.content),
            "sha256": server.sha256,
            "version": server.sha256,
            "commit": COMMIT,
        },
        "ranges": [[0, CUT]],
        "etag": '"one"',
    }


def test_changed_upstream_never_continues_an_old_body(server, fetch, cut, hub, dest, folder):
    cut(hub())
    server.content = b"GGUF" + os.urandom(len(server.content) - 4)
    outcome = fetch(hub())
    assert dest.read_bytes() == server.content
    assert outcome.bytes_reused == 0
    assert names(folder) == COMPLETE


def test_changed_etag_never_continues_an_old_body(server, fetch, cut, plain, dest, folder):
    cut(plain())
    server.content, server.etag = b"GGUF" + os.urandom(len(server.content) - 4), '"two"'
    assert fetch(plain()).bytes_reused == 0
    assert dest.read_bytes() == server.content
    assert names(folder) == COMPLETE


def test_changed_etag_under_a_known_hash_starts_over(server, fetch, cut, plain, dest, content):
    cut(plain(), sha256=server.sha256)
    server.etag = '"two"'
    assert fetch(plain(), sha256=server.sha256).bytes_reused == 0
    assert dest.read_bytes() == content


def test_body_nobody_can_tell_from_another_is_never_continued(server, fetch, cut, plain, dest):
    server.etag = None
    cut(plain())
    assert fetch(plain()).bytes_reused == 0
    assert dest.read_bytes() == server.content


@pytest.mark.parametrize(
    "damage",
    [
        lambda part, note: note.write_text("{"),
        lambda part, note: note.write_text('{"journal": 2, "ranges": 5}'),
        lambda part, note: note.unlink(),
        lambda part, note: part.unlink(),
        lambda part, note: part.write_bytes(b"short"),
    ],
)
def test_damaged_journal_or_partial_is_started_over(fetch, cut, hub, folder, dest, content, damage):
    cut(hub())
    (part,) = partial.leftovers(dest)
    damage(part, part.with_name(f"{part.name}.json"))
    assert fetch(hub()).bytes_fetched == len(content)
    assert dest.read_bytes() == content
    assert names(folder) == COMPLETE


def test_bytes_behind_the_journal_are_not_trusted(fetch, cut, hub, dest, content):
    cut(hub())
    (part,) = partial.leftovers(dest)
    with part.open("ab") as stream:
        stream.write(bytes(len(content)))
    assert fetch(hub()).bytes_reused == CUT
    assert dest.read_bytes() == content


# --- rule 2: ask again, Range and If-Range -------------------------------------------------------


@pytest.mark.parametrize("kind", ["hub", "plain"])
def test_resume_asks_again_and_fetches_the_rest_on_condition(
    server, fetch, cut, request, kind, dest, content
):
    where = request.getfixturevalue(kind)
    cut(where())
    outcome = fetch(where())
    assert dest.read_bytes() == content
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (len(content) - CUT, CUT)
    assert server.seen[0].method == "HEAD"
    (got,) = server.requests()
    assert (got.range, got.headers["if-range"]) == (f"bytes={CUT}-", '"one"')
    assert got.sent == len(content) - CUT


def test_prefix_is_rehashed_once_and_nothing_else(fetch, cut, hub, monkeypatch, content):
    cut(hub())
    read = []
    pread = os.pread
    monkeypatch.setattr(
        os, "pread", lambda *what: (lambda data: read.append(len(data)) or data)(pread(*what))
    )
    fetch(hub())
    # Everything is hashed once; the few bytes more are those of the lock file.
    assert len(content) <= sum(read) < len(content) + 1000


def test_another_etag_of_the_same_file_costs_no_byte(server, fetch, cut, hub, dest, content):
    # Signed links lead to hosts with their own idea of an ETag, but the hub states the hash.
    cut(hub())
    server.etag = '"another host"'
    outcome = fetch(hub())
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (len(content) - CUT, CUT)
    assert dest.read_bytes() == content


def test_file_that_changes_in_the_middle_is_fetched_anew(server, fetch, plain, dest):
    class Changing(type(server.faults)):
        def popleft(self):
            server.etag = '"two"'
            server.content = b"GGUF" + os.urandom(len(server.content) - 4)
            return super().popleft()

    # What is sent of the old version ends with the cut; the rest would be of the new one.
    old = server.content
    server.faults = Changing([Fault(after=CUT, end="cut", body=old, headers={"ETag": '"one"'})])
    outcome = fetch(plain())
    assert dest.read_bytes() == server.content != old
    assert outcome.sha256 == server.sha256


def test_body_nobody_can_tell_from_another_is_not_continued_in_the_same_run_either(
    server, fetch, plain, dest
):
    server.etag, new = None, b"GGUF" + os.urandom(SIZE - 4)
    server.faults += [Fault(after=CUT, end="cut"), Fault(turn=(new, None))]
    fetch(plain())
    assert dest.read_bytes() == new


def test_file_that_only_its_date_tells_from_another_is_fetched_anew_if_that_changes(
    server, fetch, plain, dest
):
    server.etag, new = None, b"GGUF" + os.urandom(SIZE - 4)
    old_date = {"Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"}
    new_date = {"Last-Modified": "Wed, 21 Oct 2026 07:28:01 GMT"}
    server.faults += [
        Fault("HEAD", headers=old_date),
        Fault(after=CUT, end="cut", headers=old_date),
        Fault(turn=(new, None), headers=new_date),
        Fault("HEAD", headers=new_date),
        Fault("HEAD", headers=new_date),
        Fault(headers=new_date),
        Fault("HEAD", headers=new_date),
    ]
    fetch(plain())
    assert dest.read_bytes() == new


def test_branch_is_asked_once_whatever_happens(server, fetch, hub, dest, content):
    server.faults.extend([Fault(after=CUT, end="cut"), Fault(ignore_range=True)])
    fetch(hub())
    asked = [(seen.method, seen.path) for seen in server.seen if seen.path.startswith("/hub/")]
    assert asked[0] == ("HEAD", "/hub/n/r/resolve/main/x.gguf")
    # What is asked again in doubt is whether the same commit still has the same file.
    assert ("HEAD", f"/hub/n/r/resolve/{COMMIT}/x.gguf") in asked
    assert {path for _method, path in asked[1:]} == {f"/hub/n/r/resolve/{COMMIT}/x.gguf"}
    assert dest.read_bytes() == content


def test_file_that_changes_under_a_given_hash_is_refused(server, fetch, hub, folder):
    wanted = server.sha256
    server.content = b"GGUF" + os.urandom(len(server.content) - 4)
    with pytest.raises(errors.Refused, match=f"{server.sha256}, but sha256 says {wanted}"):
        fetch(hub(), sha256=wanted)
    assert (names(folder), server.sent) == ([], 0)


def test_other_size_than_given_is_refused(server, fetch, hub, folder):
    with pytest.raises(errors.Refused, match="but size says 5"):
        fetch(hub(), size=5)
    assert (names(folder), server.sent) == ([], 0)


# --- rule 3: what counts as an answer to Range ---------------------------------------------------


@pytest.mark.parametrize("kind", ["hub", "plain"])
@pytest.mark.parametrize(
    "fault",
    [Fault(shift=-1), Fault(headers={"Content-Range": f"bytes {CUT - 1}-{SIZE - 1}/{SIZE}"})],
)
def test_part_that_starts_elsewhere_is_not_taken(
    server, fetch, cut, request, kind, dest, content, fault
):
    where = request.getfixturevalue(kind)
    cut(where())
    server.faults.append(fault)
    outcome = fetch(where())
    assert dest.read_bytes() == content
    # Once is an accident: the second request gets the rest.
    assert (outcome.bytes_reused, outcome.retries) == (CUT, 1)


def test_part_of_a_file_of_another_size_is_not_taken(server, fetch, cut, hub, dest, content):
    cut(hub())
    wrong = f"bytes {CUT}-{len(content) - 1}/{len(content) + 7}"
    server.faults.append(Fault(headers={"Content-Range": wrong}))
    outcome = fetch(hub())
    assert (outcome.bytes_reused, outcome.retries) == (CUT, 1)
    assert dest.read_bytes() == content


def test_parts_that_are_always_wrong_end_in_one_whole(server, fetch, cut, hub, dest, content):
    cut(hub())
    server.faults.extend([Fault(shift=1), Fault(shift=1)])
    outcome = fetch(hub())
    assert (outcome.bytes_reused, outcome.retries) == (0, 2)
    assert dest.read_bytes() == content
    assert server.requests()[-1].range is None


def test_whole_instead_of_the_rest_is_taken_from_its_start(server, fetch, cut, hub, dest, content):
    cut(hub())
    server.ranges = False
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    assert outcome.bytes_reused == 0
    assert outcome.bytes_fetched >= len(content)


def test_whole_instead_of_the_rest_once_costs_no_byte_on_disk(
    server, fetch, cut, hub, dest, content
):
    cut(hub())
    server.faults.append(Fault(ignore_range=True))
    outcome = fetch(hub())
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (len(content) - CUT, CUT)
    assert dest.read_bytes() == content


# --- rule 4: 416, 403 and the other statuses -----------------------------------------------------


def test_complete_partial_is_only_verified(server, fetch, cut, hub, dest, content, monkeypatch):
    def killed(*_args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(partial.Partial, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(hub())
    server.seen.clear()
    outcome = fetch(hub())
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (0, len(content))
    assert server.requests() == []
    assert dest.read_bytes() == content


def test_416_is_tried_again_and_then_started_over(server, fetch, cut, hub, dest, content):
    cut(hub())
    server.faults.append(Fault(status=416))
    assert fetch(hub()).bytes_reused == CUT
    dest.unlink()
    cut(hub())
    server.faults.extend([Fault(status=416), Fault(status=416)])
    assert fetch(hub()).bytes_reused == 0
    assert dest.read_bytes() == content


def test_416_because_the_file_became_shorter_fetches_the_new_one(server, fetch, plain, dest):
    old = server.content

    class Changing(type(server.faults)):
        def popleft(self):
            server.content, server.etag = old[: CUT // 2], '"two"'
            return super().popleft()

    server.honours_if_range = False
    server.faults = Changing([Fault(after=CUT, end="cut", body=old, headers={"ETag": '"one"'})])
    fetch(plain())
    assert dest.read_bytes() == old[: CUT // 2]


def test_expired_link_is_resolved_again(server, fetch, hub, dest, content):
    server.faults.append(Fault(status=403))
    server.cdn = server
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    resolved = [seen for seen in server.seen if seen.status == 302 and seen.method == "GET"]
    assert len({seen.query for seen in server.requests()}) == 2
    assert len(resolved) == 2
    assert outcome.retries == 0 + 1


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "token"), (403, "accept its terms"), (404, "no such file"), (410, "removed")],
)
def test_refusal_of_the_source_is_final(server, fetch, hub, folder, status, said):
    headers = {"X-Error-Code": "x", "X-Error-Message": "Not for you."}
    server.faults.append(Fault("HEAD", status=status, headers=headers))
    with pytest.raises(errors.Unavailable, match=said) as caught:
        fetch(hub())
    assert "(Not for you)" in str(caught.value)
    assert (len(server.seen), names(folder)) == (1, [])


def test_refusal_in_the_middle_keeps_what_is_there(server, fetch, hub, dest, content):
    server.faults.extend([Fault(after=CUT, end="cut"), Fault(status=404)])
    with pytest.raises(errors.Unavailable, match="404"):
        fetch(hub())
    assert fetch(hub()).bytes_reused == CUT
    assert dest.read_bytes() == content


@pytest.mark.parametrize("status", [408, 429, 500, 503])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_busy_server_is_asked_again(server, fetch, plain, dest, content, status, method):
    server.faults.append(Fault(method, status=status))
    assert fetch(plain()).retries == 1
    assert dest.read_bytes() == content


def test_server_says_when_to_come_back(server, fetch, plain, monkeypatch):
    slept = []
    monkeypatch.setattr(
        patience.Patience.__init__,
        "__kwdefaults__",
        {
            **patience.Patience.__init__.__kwdefaults__,
            "sleep": slept.append,
            "chance": lambda: 0.5,
        },
    )
    server.faults.append(Fault(status=429, headers={"Retry-After": "17"}))
    fetch(plain())
    assert slept == [17]


def test_server_that_asks_for_an_hour_is_told_to_the_person(server, fetch, plain):
    server.faults.append(Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(errors.DownloadError, match="come back in 3600 seconds"):
        fetch(plain())


def test_link_that_is_signed_for_get_alone_is_understood(server, fetch, plain, dest, content):
    server.faults.append(Fault("HEAD", status=403))
    fetch(plain())
    assert dest.read_bytes() == content
    assert [(seen.method, seen.range) for seen in server.seen] == [
        ("HEAD", None),
        ("GET", "bytes=0-0"),
        ("GET", None),
    ]


# --- not the file --------------------------------------------------------------------------------

PAGE = {"Content-Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(body=b"<html>log in", headers=PAGE), "web page"),
        (Fault(body=b"compressed", headers={"Content-Encoding": "gzip"}), r"compressed \(gzip\)"),
        (Fault(body=b"PK\3\4", headers={"Content-Length": "3000000"}), r"begins with b'PK"),
    ],
)
def test_what_is_not_the_file_is_noticed_and_named(
    server, fetch, hub, dest, folder, content, fault, said
):
    server.faults.append(fault)
    with pytest.raises(errors.DownloadError, match=said):
        fetch(hub(), retries=0)
    assert not dest.exists()
    server.faults.append(fault)
    assert fetch(hub()).retries == 1
    assert dest.read_bytes() == content


def test_page_instead_of_the_rest_is_not_appended(server, fetch, cut, hub, dest, content):
    cut(hub())
    server.faults.append(Fault(body=b"<html>" + content[6:], headers=PAGE))
    assert fetch(hub()).bytes_reused == CUT
    assert dest.read_bytes() == content


def test_page_at_the_address_is_named_before_any_byte(server, fetch, plain, folder):
    server.faults.append(Fault("HEAD", body=b"<html>", headers=PAGE))
    with pytest.raises(errors.DownloadError, match="web page"):
        fetch(plain(), retries=0)
    assert (server.sent, names(folder)) == (0, [])


def test_empty_file_is_named_before_anything_is_replaced(server, fetch, plain, dest):
    dest.write_bytes(b"GGUF and more")
    server.content = b""
    with pytest.raises(errors.Refused, match="wanted format: it has 0 bytes"):
        fetch(plain())
    assert dest.read_bytes() == b"GGUF and more"


def test_compression_is_declined(server, fetch, hub):
    fetch(hub())
    assert {seen.headers["accept-encoding"] for seen in server.seen} == {"identity"}


def test_body_that_is_too_long_is_thrown_away(server, fetch, hub, dest, content):
    server.faults.append(Fault(surplus=b"more", headers={"Content-Length": None}))
    assert fetch(hub()).retries == 1
    assert dest.read_bytes() == content
    assert server.requests()[-1].range is None


def test_body_that_just_ends_is_continued(server, fetch, hub, dest, content):
    server.faults.append(Fault(after=CUT, end="cut", headers={"Content-Length": None}))
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    assert (outcome.retries, outcome.bytes_fetched) == (1, len(content))


def test_source_that_does_not_say_the_size_is_refused_or_told(server, fetch, plain, dest, content):
    unsaid = {"Content-Length": None}
    server.faults.append(Fault("HEAD", headers=unsaid))
    with pytest.raises(errors.Unavailable, match="Say it in size"):
        fetch(plain())
    server.faults.append(Fault("HEAD", headers=unsaid))
    fetch(plain(), size=len(content))
    assert dest.read_bytes() == content


# --- rule 5: retries and silence -----------------------------------------------------------------


@pytest.mark.parametrize("end", ["cut", "reset"])
def test_broken_connection_is_continued_in_the_same_run(server, fetch, hub, dest, content, end):
    server.faults.append(Fault(after=CUT, end=end))
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    assert outcome.retries == 1
    # A reset takes with it what was on its way.
    assert outcome.bytes_fetched == len(content)
    assert (server.requests()[-1].start == CUT) or end == "reset"


def test_silence_is_limited_and_not_the_whole(server, fetch, hub, dest, content):
    server.faults.append(Fault(after=CUT, end="stall"))
    outcome = fetch(hub(), timeout=0.3)
    assert (outcome.retries, outcome.bytes_fetched) == (1, len(content))
    assert dest.read_bytes() == content


def test_budget_is_refilled_by_progress(server, fetch, hub, dest, content):
    server.faults.extend([Fault(after=200_000, end="cut")] * 10)
    outcome = fetch(hub(), retries=1)
    assert (outcome.retries, dest.read_bytes()) == (10, content)


def test_budget_is_not_refilled_by_starting_over(server, fetch, hub, dest):
    server.ranges = False
    server.faults.extend([Fault(after=CUT, end="cut")] * 20)
    with pytest.raises(errors.DownloadError, match="Tried 4 times in a row"):
        fetch(hub(), retries=3)
    assert not dest.exists()


def test_nobody_there_is_said_with_a_way_out(fetch, folder, nobody):
    where = engine.HubFile("n/r", "x.gguf", endpoint=nobody)
    with pytest.raises(errors.DownloadError, match=r"cannot be reached.*another endpoint"):
        fetch(where, retries=1)
    assert names(folder) == []


def test_full_disk_is_refused_before_the_first_byte(server, fetch, hub, folder, monkeypatch):
    monkeypatch.setattr(partial, "free_bytes", lambda _folder: 1000)
    with pytest.raises(errors.DownloadError, match="1000 bytes free, and 3000000 more"):
        fetch(hub())
    assert (names(folder), server.sent) == ([], 0)


def test_room_is_needed_for_the_rest_alone(fetch, cut, hub, dest, content, monkeypatch):
    cut(hub())
    monkeypatch.setattr(partial, "free_bytes", lambda _folder: len(content) - CUT)
    assert fetch(hub()).bytes_reused == CUT


def test_disk_that_fills_up_keeps_what_is_there(fetch, hub, dest, content, monkeypatch):
    pwrite = os.pwrite

    def full(handle, data, offset):
        if offset >= CUT and len(data) > 1000:
            raise OSError(28, "No space left on device")
        return pwrite(handle, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(errors.DownloadError, match="is full"):
            fetch(hub())
    assert not dest.exists()
    outcome = fetch(hub())
    assert outcome.bytes_reused >= CUT
    assert dest.read_bytes() == content


def test_limit_of_files_is_named(fetch, hub, dest, content, monkeypatch):
    def limited(_handle, _data, _offset):
        raise OSError(27, "File too large")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", limited)
        with pytest.raises(errors.DownloadError, match=r"may not become larger.*ulimit"):
            fetch(hub())
    fetch(hub())
    assert dest.read_bytes() == content


# --- rule 7: the end -----------------------------------------------------------------------------


def test_wrong_hash_removes_the_partial_and_names_both(server, fetch, plain, dest, folder):
    wanted = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(errors.Mismatch, match=f"{server.sha256}, but {wanted}") as caught:
        fetch(plain(), sha256=wanted)
    assert caught.value.details == {"expected": wanted, "got": server.sha256}
    assert names(folder) == []


def test_wrong_hash_of_what_was_reused_is_fetched_once_more(server, fetch, cut, hub, dest, content):
    cut(hub())
    (part,) = partial.leftovers(dest)
    with part.open("r+b") as stream:
        stream.seek(500)
        stream.write(b"damaged")
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    assert outcome.bytes_reused == 0
    assert outcome.bytes_fetched == 2 * len(content) - CUT


def test_file_gets_its_attributes_before_its_name(fetch, hub, dest):
    seen = []
    fetch(hub(), finish=lambda path: seen.append((path.endswith(".part"), dest.exists())))
    assert seen == [(True, False)]


def test_file_whose_attributes_cannot_be_set_is_not_fetched_again(
    server, fetch, hub, dest, content
):
    def finish(_path):
        raise SystemExit("there is no such owner")

    with pytest.raises(SystemExit):
        fetch(hub(), finish=finish)
    assert not dest.exists()
    server.seen.clear()
    assert fetch(hub()).bytes_reused == len(content)
    assert server.requests() == []


def test_data_is_on_disk_before_the_name(fetch, hub, dest, monkeypatch):
    monkeypatch.setattr(partial, "EVERY_BYTES", 700_000)
    steps = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda handle, real=real: (
                steps.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().name}"),
                real(handle),
            ),
        )
    replace = type(dest).replace
    monkeypatch.setattr(
        type(dest), "replace", lambda a, b: (steps.append(f"name {b.name}"), replace(a, b))[1]
    )
    fetch(hub())
    at = steps.index("name x.gguf")
    assert steps[at - 1].endswith(".part")
    assert steps[at + 1] == "sync models"
    # The journal is written only after the data it speaks of.
    notes = [place for place, step in enumerate(steps) if step.endswith(".part.json")]
    assert len(notes) > 2
    for place in notes:
        assert steps[place - 1].endswith(".json.new")
        assert steps[place - 2].endswith(".part")


def test_old_file_stays_until_the_new_one_is_complete(server, fetch, hub, dest, content):
    dest.write_bytes(b"GGUF of yesterday" + bytes(len(content)))
    kept = dest.open("rb")
    server.faults.append(Fault(after=CUT, end="cut"))
    with pytest.raises(errors.DownloadError):
        fetch(hub(), retries=0)
    assert dest.read_bytes().startswith(b"GGUF of yesterday")
    fetch(hub())
    assert dest.read_bytes() == content
    # Whoever has the old one open (or linked) keeps it whole.
    with kept:
        assert kept.read().startswith(b"GGUF of yesterday")


# --- what is there already -----------------------------------------------------------------------


def test_complete_file_of_another_tool_is_taken_after_one_hash(
    server, fetch, hub, dest, content, monkeypatch
):
    dest.write_bytes(content)
    hashed = []
    real = engine.sha256_of
    monkeypatch.setattr(
        engine, "sha256_of", lambda path, *how: hashed.append(path) or real(path, *how)
    )
    assert fetch(hub()).changed is False
    assert fetch(hub()).commit == COMMIT
    assert (len(hashed), server.sent, len(server.seen)) == (1, 0, 1)


def test_complete_file_under_a_given_hash_needs_no_network(fetch, dest, content, nobody):
    dest.write_bytes(content)
    where = engine.HubFile("n/r", "x.gguf", endpoint=nobody)
    digest = hashlib.sha256(content).hexdigest()
    outcome = fetch(where, sha256=digest)
    assert (outcome.changed, outcome.sha256) == (False, digest)


def test_partial_file_of_another_tool_is_the_beginning(server, fetch, hub, dest, folder, content):
    dest.write_bytes(content[:CUT])
    foreseen = fetch(hub(), check_mode=True)
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (len(content) - CUT, CUT)
    assert (foreseen.bytes_fetched, foreseen.bytes_reused) == (len(content) - CUT, CUT)
    assert names(folder) == COMPLETE


def test_spliced_file_of_another_tool_is_found_out_by_the_hash(fetch, hub, dest, content):
    dest.write_bytes(b"GGUF of yesterday" + bytes(CUT))
    outcome = fetch(hub())
    assert dest.read_bytes() == content
    assert outcome.bytes_reused == 0


def test_partial_file_that_nothing_could_prove_is_not_used(fetch, plain, dest, content):
    dest.write_bytes(content[:CUT])
    assert fetch(plain()).bytes_reused == 0
    assert dest.read_bytes() == content


def test_older_version_of_ours_is_no_beginning(server, fetch, hub, dest):
    old = server.content
    server.content = old[:CUT]
    fetch(hub())
    server.content = old[:100] + os.urandom(len(old) - 100)
    outcome = fetch(hub(revision="v2"))
    assert (outcome.bytes_fetched, outcome.bytes_reused) == (len(old), 0)
    assert dest.read_bytes() == server.content


def test_changed_time_alone_costs_one_hash(server, fetch, hub, dest, monkeypatch):
    fetch(hub())
    os.utime(dest)
    server.seen.clear()
    hashed = []
    real = engine.sha256_of
    monkeypatch.setattr(
        engine, "sha256_of", lambda path, *how: hashed.append(path) or real(path, *how)
    )
    assert [fetch(hub()).changed, fetch(hub()).changed] == [False, False]
    assert (len(hashed), server.seen) == (1, [])


def test_damage_is_found_when_the_file_was_touched(fetch, hub, dest, content):
    fetch(hub())
    dest.write_bytes(content[:-1] + b"!")
    outcome = fetch(hub())
    assert (outcome.changed, dest.read_bytes()) == (True, content)


def test_damaged_record_is_made_anew(fetch, hub, dest):
    fetch(hub())
    record.place(dest).write_text("[]")
    assert fetch(hub()).changed is False
    assert record.read(record.place(dest)).commit == COMMIT


def test_branch_that_moved_on_leaves_the_file(server, fetch, hub, dest):
    fetch(hub())
    server.content = b"GGUF new"
    assert fetch(hub()).changed is False


def test_another_address_of_the_same_version_fetches_nothing(server, fetch, plain):
    fetch(plain())
    server.seen.clear()
    signed = engine.dataclasses.replace(plain(), url=f"{server.plain}?Signature=new")
    assert fetch(signed).changed is False
    assert (server.sent, [seen.method for seen in server.seen]) == (0, ["HEAD"])


def test_recorded_file_is_not_read_for_another_name_of_its_revision(fetch, hub, monkeypatch):
    fetch(hub())
    monkeypatch.delattr(engine, "sha256_of")
    assert fetch(hub(revision=COMMIT)).changed is False


# --- places --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "said"),
    [("no/x.gguf", "does not exist"), ("models", "is a folder")],
)
def test_impossible_place_is_refused(server, fetch, hub, tmp_path, folder, place, said):
    with pytest.raises(errors.Refused, match=said):
        fetch(hub(), dest=tmp_path / place)
    assert server.seen == []


def test_what_a_kill_just_after_the_end_left_goes_with_the_next_run(
    server, fetch, hub, dest, folder
):
    fetch(hub())
    part = f"x.gguf.{server.sha256[:12]}.part"
    for end in ("lock", "note"):
        (folder / f"{part}.{end}").write_text("")
    assert fetch(hub(), check_mode=True).changed is False
    assert len(names(folder)) == 4
    assert fetch(hub()).changed is False
    assert names(folder) == COMPLETE


def test_partials_of_other_versions_go_with_the_new_file(server, fetch, cut, hub, dest, folder):
    for _version in range(3):
        server.content = b"GGUF" + os.urandom(2 * CUT)
        cut(hub())
    other = folder / "y.gguf.0123456789ab.part"
    other.write_text("of another file")
    assert len(partial.leftovers(dest)) == 3
    fetch(hub())
    assert names(folder) == [*COMPLETE, other.name]


def test_remove_leaves_nothing_and_says_whether_there_was_something(fetch, cut, hub, dest, folder):
    fetch(hub())
    (folder / "x.gguf.0123456789ab.part").write_text("left")
    remembered = record.place(dest)
    assert engine.remove(dest, remembered, check_mode=True) is True
    assert len(names(folder)) == 3
    assert engine.remove(dest, remembered, check_mode=False) is True
    assert names(folder) == []
    assert engine.remove(dest, remembered, check_mode=False) is False


# --- credentials ---------------------------------------------------------------------------------


def test_token_never_reaches_another_host(server, serving, fetch, hub, content):
    server.token = "hf_secret"
    server.cdn = serving(content)
    fetch(hub(), token="hf_secret")
    assert {seen.headers.get("authorization") for seen in server.seen} == {"Bearer hf_secret"}
    assert len(server.cdn.seen) == 1
    assert "authorization" not in server.cdn.seen[0].headers


def test_gated_repository_without_a_token_says_what_to_do(server, fetch, hub):
    server.token = "hf_secret"
    with pytest.raises(errors.Unavailable, match="pass a token"):
        fetch(hub())


def test_token_is_not_sent_to_a_plain_address(server, fetch, plain):
    fetch(plain(), token="hf_secret")
    assert all("authorization" not in seen.headers for seen in server.seen)


def test_signed_query_is_in_no_message_and_no_file(server, fetch, plain, folder):
    where = engine.dataclasses.replace(plain(), url=f"{server.plain}?Signature=hush")
    server.faults.append(Fault(after=CUT, end="cut"))
    with pytest.raises(errors.DownloadError) as caught:
        fetch(where, retries=0)
    outcome = fetch(where)
    written = b"".join(path.read_bytes() for path in folder.glob("*.json"))
    written += b"".join(path.read_bytes() for path in folder.glob(".*.json"))
    assert "hush" not in f"{caught.value} {outcome} {written!r}"
    assert "Signature=hush" in {seen.query for seen in server.seen}


# --- everything at once --------------------------------------------------------------------------

KINDS = {
    "cut": lambda r, n: Fault(after=r.randrange(n), end="cut"),
    "reset": lambda r, n: Fault(after=r.randrange(n), end="reset"),
    "stall": lambda r, n: Fault(after=r.randrange(n), end="stall"),
    "ignored range": lambda _r, _n: Fault(ignore_range=True),
    "wrong part": lambda r, _n: Fault(shift=r.choice([-5, 3])),
    "403": lambda _r, _n: Fault(status=403),
    "416": lambda _r, _n: Fault(status=416),
    "429": lambda _r, _n: Fault(status=429, headers={"Retry-After": "0"}),
    "503": lambda _r, _n: Fault(status=503),
    "gzip": lambda _r, _n: Fault(headers={"Content-Encoding": "gzip"}),
    "page": lambda _r, _n: Fault(body=b"<html>", headers=PAGE),
    "short": lambda r, n: Fault(after=r.randrange(n), end="cut", headers={"Content-Length": None}),
    "long": lambda _r, _n: Fault(surplus=b"more", headers={"Content-Length": None}),
    "other etag": lambda _r, _n: Fault(headers={"ETag": '"x"'}),
    "busy hub": lambda _r, _n: Fault("HUB", status=502),
}


@pytest.mark.parametrize("seed", range(10))
def test_any_sequence_of_passing_faults_ends_with_the_right_file(
    server, fetch, hub, dest, folder, content, seed, monkeypatch
):
    monkeypatch.setattr(patience, "LONGEST_SECONDS", 0.0)
    chance = random.Random(seed)
    faults = [KINDS[chance.choice(list(KINDS))](chance, len(content)) for _ in range(6)]
    server.faults.extend(faults)
    fetch(hub(), timeout=0.3, retries=6)
    assert dest.read_bytes() == content, faults
    assert names(folder) == COMPLETE, faults


# --- what is told --------------------------------------------------------------------------------


@pytest.fixture
def told():
    """What is done and how far, in this order."""
    told = []
    how = {
        "enter": lambda phase, _pid: told.append(phase),
        "report": lambda done, total, _fetched: told.append((done, total)),
    }
    return told, how


def test_copying_and_hashing_are_told_as_such(fetch, hub, dest, content, told):
    told, how = told
    dest.write_bytes(content[:-1000])
    fetch(hub(), **how)
    phases = [entry for entry in told if isinstance(entry, str)]
    assert phases == ["copying", "fetching", "verifying"]
    copied = told[1 : told.index("fetching")]
    assert copied[-1] == (SIZE - 1000, SIZE - 1000)
    told.clear()
    record.place(dest).unlink()
    fetch(hub(), **how)
    assert (told[0], told[-1]) == ("verifying", (SIZE, SIZE))


@pytest.mark.parametrize("missing", [0, 1000])
def test_large_file_is_not_read_where_only_little_may_be_fetched(
    fetch, hub, dest, content, monkeypatch, missing
):
    monkeypatch.setattr(engine, "AT_ONCE", SIZE // 2)
    dest.write_bytes(content[: SIZE - missing])
    assert fetch(hub(), fetch_at_most=SIZE).deferred is True
    assert dest.stat().st_size == SIZE - missing
    assert fetch(hub()).changed is (missing > 0)
    assert fetch(hub(), fetch_at_most=SIZE).deferred is False


def damage(dest):
    content = dest.read_bytes()
    dest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_damaged_file_of_a_branch_is_mended_from_its_own_commit(server, fetch, hub, dest, content):
    fetch(hub())
    damage(dest)
    server.seen.clear()
    assert fetch(hub()).commit == COMMIT
    assert dest.read_bytes() == content
    assert f"/resolve/{COMMIT}/" in server.seen[0].path


def test_damaged_file_of_a_commit_that_is_no_more_comes_from_the_branch(
    server, fetch, hub, dest, content
):
    fetch(hub())
    damage(dest)
    server.faults.append(Fault(method="HEAD", status=404))
    server.seen.clear()
    fetch(hub())
    assert dest.read_bytes() == content
    first, second = [seen.path for seen in server.seen if seen.method == "HEAD"]
    assert (f"/resolve/{COMMIT}/" in first, "/resolve/main/" in second) == (True, True)


def test_record_without_a_folder_is_refused_before_the_first_byte(server, hub, dest):
    record_path = dest.parent / "none" / "x.json"
    with pytest.raises(errors.Refused, match="none of the record does not exist"):
        engine.ensure(engine.Wanted(hub(), dest, record_path), engine.Manner())
    assert server.seen == []

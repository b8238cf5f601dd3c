# SPDX-License-Identifier: GPL-3.0-or-later
"""Others who have the file, or say so."""

from __future__ import annotations

import os

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    engine,
    errors,
    partial,
    record,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.source import PlainUrl

from tests.unit.file_server import Fault

SIZE = 3_000_000
CUT = 1_000_000
LIE = b"GGUF" + bytes(SIZE - 4)


@pytest.fixture
def mirror(serving, content):
    return serving(content, etag='"mirror"')


@pytest.fixture
def have(dest):
    """Have the file there, from these mirrors first."""

    def have(where, *mirrors, sha256=None, **how):
        urls = [mirror if isinstance(mirror, str) else mirror.plain for mirror in mirrors]
        wanted = engine.Wanted(
            where,
            dest,
            record.place(dest),
            sha256=sha256,
            magic=b"GGUF",
            mirrors=tuple(map(PlainUrl, urls)),
        )
        return engine.ensure(wanted, engine.Manner(**{"timeout": 5, "retries": 1, **how}))

    return have


def test_mirror_delivers_and_the_source_only_says_what(have, hub, server, mirror, dest, content):
    outcome = have(hub(), mirror)
    assert dest.read_bytes() == content
    assert (server.sent, mirror.sent) == (0, SIZE)
    assert (outcome.source, outcome.warnings) == (mirror.plain, ())
    server.seen.clear()
    mirror.seen.clear()
    assert have(hub(), mirror).changed is False
    assert server.seen == mirror.seen == []


def test_with_a_given_hash_the_source_is_not_asked(have, hub, server, mirror, dest, content):
    have(hub(), mirror, sha256=server.sha256)
    assert dest.read_bytes() == content
    assert server.seen == []


def test_mirrors_are_asked_in_their_order(have, hub, server, serving, mirror, content):
    second = serving(content)
    have(hub(), mirror, second)
    assert (mirror.sent, second.sent, second.seen) == (SIZE, 0, [])


@pytest.mark.parametrize("given", [True, False])
def test_mirror_that_is_gone_is_passed_over(
    have, hub, server, mirror, dest, content, nobody, given
):
    outcome = have(hub(), f"{nobody}/x", mirror, sha256=server.sha256 if given else None)
    assert dest.read_bytes() == content
    assert (server.sent, mirror.sent) == (0, SIZE)
    (warning,) = outcome.warnings
    assert nobody in warning


def test_mirror_with_a_file_of_another_size_is_passed_over(have, hub, serving, server, dest):
    outcome = have(hub(), serving(LIE[:-1]))
    assert server.sent == SIZE
    assert f"has {SIZE - 1} bytes, but size says {SIZE}" in outcome.warnings[0]


@pytest.mark.parametrize("given", [True, False])
def test_mirror_that_lies_is_found_out(have, hub, server, serving, dest, content, given):
    liar = serving(LIE)
    outcome = have(hub(), liar, sha256=server.sha256 if given else None)
    assert dest.read_bytes() == content
    assert (liar.sent, server.sent, outcome.source) == (SIZE, SIZE, outcome.source)
    assert f"{liar.sha256}, but {server.sha256} was expected" in outcome.warnings[0]


def test_after_a_lie_one_other_source_is_tried(have, hub, server, serving, dest, folder):
    liars = [serving(LIE) for _ in range(3)]
    with pytest.raises(errors.Mismatch):
        have(hub(), *liars)
    assert [liar.sent for liar in liars] == [SIZE, SIZE, 0]
    assert list(folder.iterdir()) == []


def test_what_a_mirror_began_another_one_ends(have, hub, server, mirror, dest, content):
    mirror.faults.extend([Fault(after=CUT, end="cut"), Fault(status=404)])
    outcome = have(hub(), mirror)
    assert dest.read_bytes() == content
    assert (mirror.requests()[0].sent, server.sent) == (CUT, SIZE - CUT)
    assert outcome.bytes_fetched == SIZE
    assert "answers 404" in outcome.warnings[0]


def test_what_one_run_began_with_a_mirror_goes_on_with_another(
    have, hub, server, mirror, serving, dest, content, nobody
):
    mirror.faults.extend([Fault(after=CUT, end="cut")] * 2)
    with pytest.raises(errors.DownloadError):
        have(PlainUrl(f"{nobody}/x"), mirror, sha256=server.sha256, retries=0)
    other = serving(content, etag='"another"')
    outcome = have(hub(), other, sha256=server.sha256)
    assert (outcome.bytes_reused, other.sent) == (CUT, SIZE - CUT)


def test_what_nothing_would_prove_has_no_mirrors(have, plain, mirror, folder):
    with pytest.raises(errors.Refused, match="Name it in sha256, or leave out mirrors"):
        have(plain(), mirror)
    assert (mirror.seen, list(folder.iterdir())) == ([], [])


def test_token_is_not_for_mirrors(have, hub, server, mirror):
    server.token = "hf_secret"
    have(hub(), mirror, token="hf_secret")
    assert all("authorization" not in seen.headers for seen in mirror.seen)


def test_damaged_beginning_is_not_blamed_on_the_mirror(have, hub, mirror, dest, content):
    mirror.faults.append(Fault(after=CUT, end="cut"))
    with pytest.raises(errors.DownloadError):
        have(hub(endpoint="http://127.0.0.1:1"), mirror, sha256=mirror.sha256, retries=0)
    (part,) = partial.leftovers(dest)
    with part.open("r+b") as stream:
        stream.write(os.urandom(100))
    outcome = have(hub(), mirror)
    assert dest.read_bytes() == content
    assert (outcome.bytes_reused, outcome.warnings) == (0, ())


def test_mirror_of_another_size_does_not_keep_the_source_from_delivering(
    have, hub, serving, server, dest, content
):
    # With a given hash the size is first what the mirror says.
    outcome = have(hub(), serving(LIE[:-1]), sha256=server.sha256)
    assert dest.read_bytes() == content
    assert f"but {server.sha256} was expected" in outcome.warnings[0]


def test_size_that_a_mirror_said_before_it_failed_does_not_count_for_the_source(
    have, hub, serving, server, dest, content
):
    wrong = serving(LIE[:-1])
    wrong.faults.append(Fault(status=404))
    have(hub(), wrong, sha256=server.sha256)
    assert dest.read_bytes() == content
    assert server.sent == SIZE


def test_failure_of_the_source_tells_of_the_mirrors_too(have, hub, server, nobody, mirror):
    server.faults.append(Fault(status=404))
    mirror.content = LIE[:-1]
    with pytest.raises(errors.Unavailable) as caught:
        have(hub(), f"{nobody}/x", mirror)
    said = str(caught.value)
    assert "answers 404" in said
    assert f"{nobody}/x cannot be reached" in said
    assert f"{mirror.plain} has {SIZE - 1} bytes" in said


def test_after_a_lie_the_failure_of_the_source_is_told_too(have, hub, server, serving):
    server.faults.append(Fault(status=404))
    with pytest.raises(errors.Mismatch, match=r"was expected.*Then the source failed.*answers 404"):
        have(hub(), serving(LIE))


def test_etag_of_a_mirror_is_no_condition_for_the_source(have, hub, server, mirror, dest, content):
    mirror.faults.extend([Fault(after=CUT, end="cut")] * 2)
    with pytest.raises(errors.DownloadError):
        have(hub(endpoint="http://127.0.0.1:1"), mirror, sha256=server.sha256, retries=0)
    outcome = have(hub())
    assert dest.read_bytes() == content
    assert outcome.bytes_reused == CUT
    # A condition that is not met would have cost an answer with the whole.
    assert [(seen.status, seen.start) for seen in server.requests()] == [(206, CUT)]


def test_what_a_mirror_began_the_address_goes_on_with(have, plain, server, mirror, dest, content):
    mirror.faults.extend([Fault(after=CUT, end="cut")] * 2)
    server.faults.append(Fault("HEAD", status=404))
    with pytest.raises(errors.DownloadError):
        have(plain(), mirror, sha256=server.sha256, retries=0)
    outcome = have(plain(), sha256=server.sha256)
    assert dest.read_bytes() == content
    assert (outcome.bytes_reused, outcome.bytes_fetched) == (CUT, SIZE - CUT)


def test_mirror_that_asks_for_patience_is_left_out_at_once(have, hub, serving, mirror, content):
    busy = serving(content)
    busy.faults.append(Fault(method="HEAD", status=429, headers={"Retry-After": "60"}))
    outcome = have(hub(), busy, mirror)
    assert (outcome.source, outcome.retries) == (mirror.plain, 0)
    assert "answers 429" in outcome.warnings[0]

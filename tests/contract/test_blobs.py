# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads: `HEAD` and `POST /api/blobs/<digest>`."""

from __future__ import annotations

import pytest

from tests.contract.server import Server, digest_of, failure


def test_a_blob_is_there_after_its_upload(server: Server, name: str) -> None:
    content = name.encode()
    path = f"/api/blobs/{digest_of(content)}"
    assert server.http.head(path).status_code == 404
    answer = server.http.post(path, content=content)
    assert (answer.status_code, answer.content) == (201, b"")
    assert server.http.head(path).status_code == 200


def test_a_second_upload_is_answered_without_being_read(server: Server, name: str) -> None:
    content = name.encode()
    path = f"/api/blobs/{digest_of(content)}"
    assert server.http.post(path, content=content).status_code == 201
    answer = server.http.post(path, content=b"something else")
    assert (answer.status_code, answer.content) == (200, b"")


def test_an_upload_in_pieces_of_unknown_length(server: Server, name: str) -> None:
    content = name.encode()
    answer = server.http.post(
        f"/api/blobs/{digest_of(content)}", content=iter([content[:5], content[5:]])
    )
    assert answer.status_code == 201


def test_other_bytes_are_refused_and_yet_kept(server: Server, name: str) -> None:
    content, wanted = name.encode(), digest_of(b"not " + name.encode())
    answer = server.http.post(f"/api/blobs/{wanted}", content=content)
    assert failure(answer) == (
        400,
        f'digest mismatch, expected "{wanted}", got "{digest_of(content)}"',
    )
    assert server.http.head(f"/api/blobs/{wanted}").status_code == 404
    assert server.http.head(f"/api/blobs/{digest_of(content)}").status_code == 200


@pytest.mark.parametrize("digest", ["sha256:12", "md5:" + "0" * 64, "sha256:" + "g" * 64])
def test_what_is_no_digest(server: Server, digest: str) -> None:
    path = f"/api/blobs/{digest}"
    assert server.http.head(path).status_code == 400
    assert failure(server.http.post(path, content=b"x")) == (400, "invalid digest format")

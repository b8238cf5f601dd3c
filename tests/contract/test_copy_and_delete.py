# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy and delete: digests, and what becomes of layers."""

from __future__ import annotations

import typing as t

from tests.contract.server import Server, failure


def test_a_copy_has_the_same_digest(server: Server, base: str, name: str) -> None:
    answer = server.done("copy", source=base, destination=name)
    assert (answer.status_code, answer.content) == (200, b"")
    assert server.digest(name) == server.digest(base)


def test_a_copy_overwrites(server: Server, base: str, names: t.Iterator[str]) -> None:
    old, new = next(names), next(names)
    server.create(old, **{"from": base}, system="Old.")
    server.create(new, **{"from": base}, system="New.")
    server.done("copy", source=new, destination=old)
    assert server.digest(old) == server.digest(new)
    assert server.show(old)["system"] == "New."


def test_a_copy_onto_itself_does_nothing(server: Server, base: str, name: str) -> None:
    before = server.tags()[f"{base}:latest"]
    assert server.post("copy", source=base, destination=base).status_code == 200
    assert server.tags()[f"{base}:latest"] == before
    # Not even whether it exists is looked at.
    assert server.post("copy", source=name, destination=name).status_code == 200


def test_a_copy_does_not_depend_on_its_source(
    server: Server, base: str, names: t.Iterator[str]
) -> None:
    source, destination = next(names), next(names)
    server.create(source, **{"from": base}, system="The only one.")
    server.done("copy", source=source, destination=destination)
    assert server.delete(source).is_success
    assert server.show(destination)["system"] == "The only one."


def test_delete(server: Server, base: str, name: str) -> None:
    server.create(name, **{"from": base})
    answer = server.delete(name)
    assert (answer.status_code, answer.content) == (200, b"")
    assert f"{name}:latest" not in server.tags()
    assert failure(server.delete(name))[0] == 404


def test_delete_takes_the_layers_nobody_else_has(
    server: Server, names: t.Iterator[str], gguf: str
) -> None:
    one, two = next(names), next(names)
    server.create(one, files={"x.gguf": gguf}, system=f"Only {one}.")
    server.create(two, **{"from": one}, system=f"Only {two}.")
    mine = f"/api/blobs/{server.upload(f'Only {one}.'.encode())}"
    shared = f"/api/blobs/sha256:{server.weights(one)}"
    assert server.delete(one).is_success
    assert server.http.head(mine).status_code == 404
    assert server.http.head(shared).status_code == 200


def test_delete_by_the_old_word(server: Server, base: str, name: str) -> None:
    server.create(name, **{"from": base})
    answer = server.http.request("DELETE", "/api/delete", json={"name": name})
    assert answer.is_success
    assert f"{name}:latest" not in server.tags()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: what is filled in, what is one and the same, what is refused."""

from __future__ import annotations

import typing as t

import pytest

from tests.contract.server import Registry, Server, failure
from tests.contract.target import TARGET


@pytest.mark.parametrize(
    "spelling",
    [
        "{name}",
        "{name}:latest",
        "library/{name}",
        "registry.ollama.ai/library/{name}:latest",
        "https://registry.ollama.ai/library/{name}:latest",
    ],
)
def test_host_namespace_and_tag_are_filled_in(
    server: Server, base: str, name: str, spelling: str
) -> None:
    server.done("copy", source=base, destination=spelling.format(name=name))
    assert f"{name}:latest" in server.tags()
    assert server.show(spelling.format(name=name))


def test_a_tag_is_always_shown(server: Server, base: str, name: str) -> None:
    for tag in ("7b", "latest"):
        server.done("copy", source=base, destination=f"{name}:{tag}")
    entries = {known: entry for known, entry in server.tags().items() if known.startswith(name)}
    assert sorted(entries) == [f"{name}:7b", f"{name}:latest"]
    assert all(entry["model"] == known for known, entry in entries.items())


def test_another_host_or_namespace_is_shown_too(server: Server, base: str, name: str) -> None:
    for wanted in (f"somebody/{name}", f"registry.example:5000/library/{name}:1"):
        server.done("copy", source=base, destination=wanted)
    assert {f"somebody/{name}:latest", f"registry.example:5000/library/{name}:1"} <= set(
        server.tags()
    )


def test_capitals_make_no_other_model(server: Server, base: str, name: str) -> None:
    server.done("copy", source=base, destination=name.title())
    server.done("copy", source=base, destination=name.upper())
    assert server.show(name)
    same = [known for known in server.tags() if known.lower() == f"{name}:latest"]
    assert same == [f"{name.title()}:latest"]
    assert server.delete(name).is_success
    assert f"{name.title()}:latest" not in server.tags()


def test_a_longer_name_is_another_model(server: Server, base: str, name: str) -> None:
    for wanted in (name, f"{name}-coder", f"{name}:coder"):
        server.done("copy", source=base, destination=wanted)
    assert server.delete(name).is_success
    assert failure(server.post("show", model=name))[0] == 404
    assert {f"{name}-coder:latest", f"{name}:coder"} <= set(server.tags())


@pytest.mark.parametrize(
    "bad", ["b d", "x@sha256:00", "-x", "x:", "a/b/c/d", "n.s/x", "x" * 81, "x:" + "y" * 81]
)
def test_an_invalid_name_is_refused_before_anything_starts(
    server: Server, base: str, bad: str
) -> None:
    assert failure(server.post("show", model=bad)) == (400, "invalid model name")
    assert failure(server.post("pull", model=bad)) == (400, "invalid model name")
    assert failure(server.post("create", model=bad, **{"from": base})) == (
        400,
        "invalid model name",
    )
    assert failure(server.post("copy", source=bad, destination="x")) == (
        400,
        f'source "{bad}" is invalid',
    )
    assert failure(server.post("copy", source=base, destination=bad)) == (
        400,
        f'destination "{bad}" is invalid',
    )
    assert failure(server.delete(bad)) == (400, f'name "{bad}" is invalid')


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("show", 400, "model is required"),
        ("pull", 400, "invalid model name"),
        ("create", 400, "invalid model name"),
        ("chat", 400, "model is required"),
        ("generate", 404, "model '' not found"),
        ("embed", 404, "model '' not found"),
    ],
)
def test_no_name(server: Server, path: str, status: int, text: str) -> None:
    assert failure(server.post(path)) == (status, text)


def test_the_old_word_for_model_is_understood(server: Server, base: str) -> None:
    assert server.done("show", name=base).json()["system"] == "Be short."


#: How a name that is not installed is called in the refusal.
MISSING: dict[str, t.Callable[[str], str]] = {
    "show": TARGET.since(
        {
            "0.9": "model '{}' not found".format,
            "0.30": "model '{}:latest' not found".format,
        }
    ),
    "copy": 'model "{}" not found'.format,
    "delete": "model '{}' not found".format,
    "chat": "model '{}' not found".format,
    "generate": "model '{}' not found".format,
    "embed": 'model "{}" not found, try pulling it first'.format,
}


@pytest.mark.parametrize("path", MISSING)
def test_a_model_that_is_not_there(server: Server, name: str, path: str) -> None:
    body = {"source": name, "destination": "x"} if path == "copy" else {"model": name}
    answer = server.delete(name) if path == "delete" else server.post(path, **body)
    assert failure(answer) == (404, MISSING[path](name))


def test_a_name_with_a_host_is_asked_of_that_host(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    registry.offer(f"{name}:7b", layers)
    mark = registry.mark()
    server.pull(registry.name(f"{name}:7b"))
    assert registry.since(mark)[0]["path"] == f"/v2/library/{name}/manifests/7b"
    assert registry.name(f"{name}:7b") in server.tags()

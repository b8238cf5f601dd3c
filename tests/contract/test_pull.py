# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls: what is asked of the registry, what is told on the way, and how they fail."""

from __future__ import annotations

import json
import time
import typing as t

import httpx
import pytest

from lab.origin.app import create_app as create_origin
from lab.testing import serve
from tests.contract import weights
from tests.contract.server import JsonObject, Registry, Server, failure
from tests.contract.waiting import until

BIG = 8_000_000


def status_lines(lines: t.Iterable[JsonObject]) -> list[str]:
    """The lines without those that count bytes."""
    return [line["status"] for line in lines if "digest" not in line]


def test_the_digest_is_that_of_the_bytes_the_registry_sent(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    # As somebody else might have written it: nothing but the raw bytes gives this digest.
    offered = registry.offer(name, layers, indent=3)
    lines = server.pull(registry.name(name))
    assert status_lines(lines) == [
        "pulling manifest",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    entry = server.tags()[f"{registry.name(name)}:latest"]
    assert entry["digest"] == offered
    manifest = json.loads(registry.manifest(name).read_bytes())
    blobs = [*manifest["layers"], manifest["config"]]
    assert entry["size"] == sum(blob["size"] for blob in blobs)


def test_lines_count_the_bytes_of_a_layer(
    server: Server, obedient: Registry, layers: dict[str, bytes], name: str
) -> None:
    content = weights.model(name)
    obedient.offer(name, {**layers, "model": content})
    obedient.misbehave("/ollama/blobs/*", {"throttle": len(content)})
    lines = [line for line in server.pull(obedient.name(name)) if "digest" in line]
    first = lines[0]
    assert first["status"] == f"pulling {first['digest'].removeprefix('sha256:')[:12]}"
    mine = [line for line in lines if line["digest"] == first["digest"]]
    assert {line["total"] for line in mine} == {len(content)}
    counted = [line.get("completed", 0) for line in mine]
    assert counted == sorted(counted)
    assert len(set(counted)) > 2


def test_a_cached_layer_is_told_as_complete(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    registry.offer(name, layers)
    server.pull(registry.name(name))
    again = [line for line in server.pull(registry.name(name)) if "digest" in line]
    assert len(again) == len(layers) + 1
    assert all(line["completed"] == line["total"] for line in again)


def test_an_up_to_date_pull_asks_one_thing_and_only_touches(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    registry.offer(name, layers)
    server.pull(registry.name(name))
    before = server.tags()[f"{registry.name(name)}:latest"]
    mark = registry.mark()
    time.sleep(0.02)
    server.pull(registry.name(name))
    after = server.tags()[f"{registry.name(name)}:latest"]
    asked = [(request["method"], request["path"]) for request in registry.since(mark)]
    assert asked == [("GET", f"/v2/library/{name}/manifests/latest")]
    assert after["digest"] == before["digest"]
    assert after["modified_at"] != before["modified_at"]


def test_a_moved_tag_is_followed(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    first = registry.offer(name, layers)
    server.pull(registry.name(name))
    second = registry.offer(name, {**layers, "license": b"Not so free."})
    assert server.digest(registry.name(name)) == first
    server.pull(registry.name(name))
    assert server.digest(registry.name(name)) == second


def test_without_a_stream_only_the_last_line_comes(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    registry.offer(name, layers)
    answer = server.done("pull", model=registry.name(name), insecure=True, stream=False)
    assert answer.json() == {"status": "success"}
    assert answer.headers["content-type"] == "application/json"


def test_a_mirror_may_answer_in_place(
    server: Server,
    layers: dict[str, bytes],
    name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("mirror")
    with serve(create_origin(root)) as url, httpx.Client(base_url=url, trust_env=False) as http:
        mirror = Registry(root, url, http)
        offered = mirror.offer(name, {**layers, "model": weights.model(name)})
        server.pull(mirror.name(name))
        server.done("copy", source=mirror.name(name), destination=name)
        assert server.delete(mirror.name(name)).is_success
    assert server.digest(name) == offered


def fails(server: Server, model: str, *, insecure: bool = True) -> str:
    """The error of a pull: the last line under HTTP 200, and the same text as HTTP 500."""
    body = {"model": model, "insecure": insecure}
    lines = server.lines("pull", **body)
    assert lines[0] == {"status": "pulling manifest"}
    assert set(lines[-1]) == {"error"}
    status, text = failure(server.post("pull", **body, stream=False))
    assert (status, text) == (500, lines[-1]["error"])
    return text


def test_a_model_the_registry_does_not_have(server: Server, registry: Registry, name: str) -> None:
    text = fails(server, registry.name(name))
    assert text == "pull model manifest: file does not exist"


def test_a_blob_the_registry_does_not_have(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    registry.offer(name, {**layers, "license": name.encode()})
    for entry in json.loads(registry.manifest(name).read_bytes())["layers"]:
        if entry["mediaType"].endswith("license"):
            registry.blob(entry["digest"]).unlink()
    assert fails(server, registry.name(name)) == "file does not exist"
    assert f"{registry.name(name)}:latest" not in server.tags()


def test_a_registry_without_tls(server: Server, registry: Registry, name: str) -> None:
    text = fails(server, registry.name(name), insecure=False)
    asked = f'"https://{registry.host}/v2/library/{name}/manifests/latest"'
    assert text == (
        f"pull model manifest: Get {asked}: http: server gave HTTP response to HTTPS client"
    )


def test_nobody_listens(server: Server, nobody: str, name: str) -> None:
    text = fails(server, f"{nobody}/library/{name}")
    assert text == (
        f'pull model manifest: Get "http://{nobody}/v2/library/{name}/manifests/latest": '
        f"dial tcp {nobody}: connect: connection refused"
    )


def test_a_server_that_is_too_old(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    registry.offer(name, layers)
    table = registry.root / "registry" / "requires.json"
    table.write_text(json.dumps({f"library/{name}:latest": "99.0.0"}))
    assert fails(server, registry.name(name)).startswith("pull model manifest: 412: \nThe model ")


def test_a_registry_in_trouble(server: Server, obedient: Registry, name: str) -> None:
    obedient.misbehave("/v2/*/manifests/*", {"status": 503}, count=2)
    assert fails(server, obedient.name(name)) == "pull model manifest: 503: as ordered\n"


def test_wrong_bytes_are_found_out_and_the_old_model_stays(
    server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    good = registry.offer(name, layers)
    server.pull(registry.name(name))
    registry.offer(name, {**layers, "license": name.encode()})
    manifest = json.loads(registry.manifest(name).read_bytes())
    (wanted,) = [
        entry["digest"] for entry in manifest["layers"] if entry["mediaType"].endswith("license")
    ]
    registry.blob(wanted).write_bytes(name[::-1].encode())
    text = fails(server, registry.name(name))
    assert text.startswith(
        f"digest mismatch, file must be downloaded again: want {wanted}, got sha256:"
    )
    assert server.digest(registry.name(name)) == good
    # What is wrong is not kept, so that the next pull can succeed.
    assert server.http.head(f"/api/blobs/{wanted}").status_code == 404
    registry.blob(wanted).write_bytes(name.encode())
    server.pull(registry.name(name))


def test_a_cut_is_mended_within_the_pull(
    server: Server, obedient: Registry, layers: dict[str, bytes], name: str
) -> None:
    content = weights.model(name)
    obedient.offer(name, {**layers, "model": content})
    obedient.misbehave("/ollama/blobs/*", {"cut_after": 1_000_000})
    mark = obedient.mark()
    server.pull(obedient.name(name))
    ranges = [request["range"] for request in obedient.since(mark) if request["range"]]
    assert f"bytes=1000000-{len(content) - 1}" in ranges


def test_a_client_that_leaves_ends_the_pull_and_the_next_goes_on_from_there(
    server: Server, obedient: Registry, layers: dict[str, bytes], name: str
) -> None:
    content = weights.model(name) + bytes(BIG)
    obedient.offer(name, {**layers, "model": content})
    obedient.misbehave("/ollama/blobs/*", {"throttle": 2_000_000})
    body = {"model": obedient.name(name), "insecure": True}
    mark = obedient.mark()
    with server.http.stream("POST", "/api/pull", json=body) as answer:
        for line in answer.iter_lines():
            if json.loads(line).get("completed", 0) > BIG / 4:
                break
    until(lambda: any(request["fault"] for request in obedient.since(mark)))
    mark = obedient.mark()
    server.pull(obedient.name(name))
    (asked,) = [
        request["range"]
        for request in obedient.since(mark)
        if request["range"] and request["range"].endswith(f"-{len(content) - 1}")
    ]
    assert int(asked.removeprefix("bytes=").partition("-")[0]) > BIG / 4

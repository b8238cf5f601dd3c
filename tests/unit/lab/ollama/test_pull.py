# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls over the real protocol: progress, errors under HTTP 200, partial state, resume."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import typing as t
from pathlib import Path

import httpx
import pytest

from lab.ollama.app import create_app
from lab.ollama.engine import EchoEngine
from lab.ollama.settings import Settings
from lab.origin.app import create_app as create_origin
from lab.testing import serve

SIZE = 40 << 20


def statuses(events: list[dict[str, t.Any]]) -> list[str]:
    """Status lines without progress, which depends on the machine's mood."""
    texts = [event.get("status") or event["error"] for event in events]
    return [text for text in texts if text == "pulling manifest" or not text.startswith("pulling ")]


DONE = ["pulling manifest", "verifying sha256 digest", "writing manifest", "success"]


def test_a_pull_stores_the_bytes_of_the_registry(ollama: t.Any) -> None:
    assert statuses(ollama.events("pull", model=ollama.remote, insecure=True)) == DONE
    source = ollama.origin.root / "registry"
    local = ollama.store / "manifests" / ollama.remote.replace("smollm2:", "smollm2/")
    assert local.read_bytes() == (source / "manifests/library/smollm2/135m").read_bytes()
    for name in ollama.blobs():
        assert (ollama.store / "blobs" / name).read_bytes() == (
            source / "blobs" / name
        ).read_bytes()
    agents = {(line["method"], line["status"], line["user_agent"].split("/")[0])
              for line in ollama.origin.requests()}  # fmt: skip
    assert agents == {
        ("GET", 200, "ollama"),
        ("HEAD", 200, "ollama"),
        ("GET", 307, "ollama"),
        ("GET", 206, "Go-http-client"),
    }


def test_an_up_to_date_pull_costs_one_request(ollama: t.Any) -> None:
    ollama.events("pull", model=ollama.remote, insecure=True)
    before, requests = ollama.tags(), len(ollama.origin.requests())
    events = ollama.events("pull", model=ollama.remote, insecure=True)
    assert statuses(events) == DONE
    cached = [event for event in events if "digest" in event]
    assert len(cached) == 6
    assert all(event["completed"] == event["total"] for event in cached)
    (line,) = ollama.origin.requests()[requests:]
    assert (line["method"], line["path"]) == ("GET", "/v2/library/smollm2/manifests/135m")
    after = ollama.tags()
    assert after[ollama.remote]["digest"] == before[ollama.remote]["digest"]
    assert after[ollama.remote]["modified_at"] != before[ollama.remote]["modified_at"]


def test_without_stream_only_the_end_is_sent(ollama: t.Any) -> None:
    answer = ollama.post("pull", model=ollama.remote, insecure=True, stream=False)
    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    answer = ollama.post("pull", model=f"{ollama.origin.host}/a/b", insecure=True, stream=False)
    assert answer.status_code == 500
    assert answer.json() == {"error": "pull model manifest: file does not exist"}


def test_errors_come_after_http_200(ollama: t.Any) -> None:
    answer = ollama.post("pull", model=f"{ollama.origin.host}/a/b", insecure=True)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.text == (
        '{"status":"pulling manifest"}\n{"error":"pull model manifest: file does not exist"}\n'
    )


def test_https_is_the_default(ollama: t.Any) -> None:
    end = ollama.events("pull", model=ollama.remote)[-1]["error"]
    assert end.startswith(f'pull model manifest: Get "https://{ollama.origin.host}/v2/')
    assert end.endswith("http: server gave HTTP response to HTTPS client")


def test_nobody_there(ollama: t.Any) -> None:
    end = ollama.events("pull", model="127.0.0.1:9/a/b", insecure=True)[-1]["error"]
    assert end == (
        'pull model manifest: Get "http://127.0.0.1:9/v2/a/b/manifests/latest": '
        "dial tcp 127.0.0.1:9: connect: connection refused"
    )


def test_too_old(ollama: t.Any) -> None:
    table = {"library/smollm2:135m": "0.40.0"}
    (ollama.origin.root / "registry/requires.json").write_text(json.dumps(table))
    end = ollama.events("pull", model=ollama.remote, insecure=True)[-1]["error"]
    assert end.startswith("pull model manifest: 412: \nThe model you are attempting to pull")


def test_a_wrong_blob_is_refused_and_the_old_model_stays(ollama: t.Any) -> None:
    digest = ollama.install()
    ollama.http.request("DELETE", "/api/delete", json={"model": "smollm2:135m"})
    blobs = ollama.origin.root / "registry/blobs"
    manifest = json.loads((blobs.parent / "manifests/library/smollm2/135m").read_bytes())
    bad = manifest["layers"][0]["digest"]
    path = blobs / bad.replace(":", "-")
    path.write_bytes(bytes(path.stat().st_size))
    got = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    events = ollama.events("pull", model=ollama.remote, insecure=True)
    assert statuses(events) == [
        "pulling manifest",
        "verifying sha256 digest",
        f"digest mismatch, file must be downloaded again: want {bad}, got {got}",
    ]
    assert ollama.tags() == {}
    assert bad.replace(":", "-") not in ollama.blobs()
    assert len(ollama.blobs()) == 5
    assert digest not in str(ollama.tags())


def test_a_missing_blob(ollama: t.Any) -> None:
    for path in (ollama.origin.root / "registry/blobs").iterdir():
        path.unlink()
    assert ollama.events("pull", model=ollama.remote, insecure=True)[-1] == {
        "error": "file does not exist"
    }


def test_a_moved_tag_drops_what_it_no_longer_uses(ollama: t.Any) -> None:
    ollama.events("pull", model=ollama.remote, insecure=True)
    manifests = ollama.origin.root / "registry/manifests/library"
    (manifests / "smollm2/135m").write_bytes((manifests / "smollm2-embed/135m").read_bytes())
    assert statuses(ollama.events("pull", model=ollama.remote, insecure=True)) == [
        *DONE[:3],
        "removing unused layers",
        "success",
    ]
    manifest = json.loads((manifests / "smollm2/135m").read_bytes())
    wanted = {layer["digest"] for layer in [*manifest["layers"], manifest["config"]]}
    assert {name.replace("-", ":") for name in ollama.blobs()} == wanted


class Throttle:
    """Lets only so many bytes of each big answer through, until it is opened."""

    def __init__(self, app: t.Any) -> None:
        self.app = app
        self.limit: int | None = 4 << 20

    async def __call__(self, scope: t.Any, receive: t.Any, send: t.Any) -> None:
        sent = 0

        async def limited(message: t.Any) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            if self.limit is not None and sent > self.limit:
                while (await receive())["type"] != "http.disconnect":
                    pass
                scope["lab.disconnected"] = True
                return
            await send(message)

        await self.app(scope, receive, limited if scope["type"] == "http" else send)


@pytest.fixture
def big(tmp_path: Path) -> t.Iterator[tuple[str, Throttle, Path]]:
    """A registry with one big blob that stalls after 4 MiB."""
    root = tmp_path / "big"
    data = b"0123456789abcdef" * (SIZE // 16)
    layer = {"mediaType": "application/vnd.ollama.image.license", "size": SIZE}
    layer["digest"] = "sha256:" + hashlib.sha256(data).hexdigest()
    config = {"mediaType": "application/json", "size": 2}
    config["digest"] = "sha256:" + hashlib.sha256(b"{}").hexdigest()
    for entry, content in ((layer, data), (config, b"{}")):
        path = root / "registry/blobs" / str(entry["digest"]).replace(":", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    manifest = root / "registry/manifests/library/big/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"config": config, "layers": [layer]}))
    throttle = Throttle(create_origin(root, cdn_host="localhost"))
    with serve(throttle) as url:
        yield url.removeprefix("http://"), throttle, root


def until(condition: t.Callable[[], t.Any]) -> t.Any:
    """Poll for what happens in another thread."""
    deadline = time.monotonic() + 15
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return result


def partial_state(store: Path) -> dict[str, t.Any]:
    journals = list((store / "blobs").glob("*-partial-0"))
    try:
        return dict(json.loads(journals[0].read_bytes())) if journals else {}
    except (FileNotFoundError, ValueError):
        # It is just being written anew, in place as the real server does.
        return {}


@contextlib.contextmanager
def started(ollama: t.Any, name: str) -> t.Iterator[dict[str, t.Any]]:
    """A pull that is under way: some bytes have arrived, and it is read no further."""
    body = {"model": name, "insecure": True}
    with ollama.http.stream("POST", "/api/pull", json=body) as answer:
        for line in answer.iter_lines():
            event = json.loads(line)
            if event.get("completed", 0) >= 1 << 20:
                yield event
                return
    pytest.fail("the pull ended early")


def test_a_client_that_leaves_stops_the_pull_and_keeps_the_part(
    ollama: t.Any, big: tuple[str, Throttle, Path]
) -> None:
    host, throttle, root = big
    name = f"{host}/library/big"
    with started(ollama, name) as event:
        assert event["total"] == SIZE
    state = until(lambda: partial_state(ollama.store).get("Completed") and
                  partial_state(ollama.store))  # fmt: skip
    assert {**state, "Completed": 0} == {"N": 0, "Offset": 0, "Size": SIZE, "Completed": 0}
    assert 1 << 20 <= state["Completed"] < SIZE
    (partial,) = (ollama.store / "blobs").glob("*-partial")
    assert partial.stat().st_size == SIZE
    assert ollama.tags() == {}

    throttle.limit = None
    assert statuses(ollama.events("pull", model=name, insecure=True)) == DONE
    assert not list((ollama.store / "blobs").glob("*-partial*"))
    ranges = [
        json.loads(line)["range"]
        for line in (root / "record.jsonl").read_text().splitlines()
        if '"/ollama/' in line
    ]
    assert f"bytes={state['Completed']}-{SIZE - 1}" in ranges


def test_two_pulls_share_one_download(ollama: t.Any, big: tuple[str, Throttle, Path]) -> None:
    host, _throttle, root = big
    name = f"{host}/library/big"
    with started(ollama, name), started(ollama, name):
        pass
    until(lambda: partial_state(ollama.store).get("Completed"))
    text = (root / "record.jsonl").read_text()
    heads = [line for line in text.splitlines() if '"HEAD"' in line]
    assert len(heads) == 1


def test_a_restarted_server_goes_on_where_it_stopped(
    ollama: t.Any, big: tuple[str, Throttle, Path]
) -> None:
    host, throttle, root = big
    name = f"{host}/library/big"
    with started(ollama, name):
        pass
    state = until(lambda: partial_state(ollama.store).get("Completed"))
    throttle.limit = None
    app = create_app(ollama.store, EchoEngine(), settings=Settings(noprune=True))
    with serve(app) as url:
        body = {"model": name, "insecure": True, "stream": False}
        answer = httpx.post(f"{url}/api/pull", json=body, trust_env=False, timeout=30)
    assert answer.json() == {"status": "success"}
    assert f'"range": "bytes={state}-{SIZE - 1}"' in (root / "record.jsonl").read_text()

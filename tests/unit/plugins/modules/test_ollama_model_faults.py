# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that goes wrong on the way: a clear failure, the model before it is still served, and
the next run completes with what is there already."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama.store import Disk

from lab.ollama import download
from lab.ollama.app import create_app as create_ollama
from lab.ollama.engine import EchoEngine
from lab.ollama.settings import Settings
from lab.ollama.store import Store
from lab.origin import transport
from lab.origin.app import create_app as create_origin
from lab.testing import serve
from tests.unit.conftest import Ollama, Registry, small_gguf
from tests.unit.ollama_process import PART, OllamaProcess

MODEL = "m:1b"
# Several parts of weights.
PADDING = 5 * PART
# So much of one part arrives, and then something happens.
ARRIVES = 5000
AGAIN = "What was fetched is kept: run it again"


class Between:
    """Stands before an application and tampers with the first request that it is waiting for."""

    def __init__(self, app) -> None:
        self.app = app
        self.router = app.router
        self._awaited = lambda _scope: False
        self._tamper = None

    def tamper(self, how, awaited) -> None:
        self._tamper, self._awaited = how, awaited

    def leave(self) -> None:
        self._tamper = None

    async def __call__(self, scope, receive, send):
        how = self._tamper if scope["type"] == "http" and self._awaited(scope) else None
        if how is None:
            await self.app(scope, receive, send)
            return
        self._tamper = None
        await how(self.app, scope, receive, send)


def path(*words):
    return lambda scope: all(word in f"{scope['method']} {scope['path']}" for word in words)


def cut_after(lines):
    """The connection ends after so many lines of the answer."""

    async def cut(app, scope, receive, send):
        left = lines

        async def cutting(message):
            nonlocal left
            if message["type"] == "http.response.body":
                left -= 1
            if left < 0:
                transport.close(scope)
            else:
                await send(message)

        await app(scope, receive, cutting)

    return cut


async def unheard(app, scope, receive, _send):
    """All is done, and the connection ends before anybody is told."""

    async def nowhere(_message):
        pass

    await app(scope, receive, nowhere)
    transport.close(scope)


async def lost(_app, scope, _receive, _send):
    """Nothing is done, and the connection ends."""
    transport.close(scope)


def answer(*lines):
    """Other lines come than those of the server, under the status 200."""

    async def answering(_app, _scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        await send({"type": "http.response.body", "body": body})

    return answering


def wait_for(event):
    """Nothing comes before the event."""

    async def waiting(app, scope, receive, send):
        while not event.is_set():
            await asyncio.sleep(0.02)
        await app(scope, receive, send)

    return waiting


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.02)


@contextlib.contextmanager
def meanwhile(condition, act):
    """Act once, as soon as the condition holds while the block runs."""

    def watch():
        until(condition)
        act()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        acted = pool.submit(watch)
        yield
        acted.result(timeout=90)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(download, "MIN_PART", PART)


@pytest.fixture
def origin(tmp_path):
    root = tmp_path / "origin"
    (root / "registry").mkdir(parents=True)
    return root


@pytest.fixture
def before_registry(origin):
    # The bytes come from another host name, as those of the public registry do.
    return Between(create_origin(origin, cdn_host="localhost"))


@pytest.fixture
def registry(served, origin, before_registry):
    return Registry(origin / "registry", served(before_registry, "registry"))


@pytest.fixture
def before_ollama(tmp_path):
    settings = Settings(noprune=True)
    app = create_ollama(tmp_path / "models", EchoEngine(), settings=settings, retry_backoff=0.0)
    return Between(app)


@pytest.fixture
def ollama(served, tmp_path, before_ollama):
    return Ollama(served(before_ollama, "ollama"), tmp_path / "models", EchoEngine())


@pytest.fixture
def process(root, tmp_path):
    """A server that can be killed."""
    server = OllamaProcess(root, tmp_path / "models")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def model(run_module, registry, tmp_path):
    """Run the module for the model as the registry offers it now."""

    def run(ollama, **params):
        given = {
            "url": ollama.url,
            "timeout": 30,
            "name": MODEL,
            "state": "latest",
            "registry_mirror": registry.url,
            "record": str(tmp_path / "record.json"),
            **params,
        }
        return run_module("ollama_model", **given)

    return run


def order(registry, *rules):
    """Have the registry misbehave; without rules it is well again."""
    url = f"{registry.url}/_lab/faults"
    httpx.delete(url, trust_env=False).raise_for_status()
    httpx.post(url, json=rules, trust_env=False).raise_for_status()


def stall():
    return {"match": {"role": "cdn"}, "action": {"stall_after": ARRIVES}}


def journals(ollama):
    """What the server noted of the parts that it is fetching."""
    try:
        found = (ollama.store / "blobs").glob("*-partial-*")
        return [json.loads(journal.read_bytes()) for journal in found]
    except (FileNotFoundError, ValueError):
        return []


def one_part_is_open(ollama):
    parts = journals(ollama)
    return len(parts) > 5 and sum(part["Completed"] < part["Size"] for part in parts) == 1


def rest(ollama):
    """The ranges that are still to be fetched."""
    return sorted(
        (part["Offset"] + part["Completed"], part["Offset"] + part["Size"])
        for part in journals(ollama)
        if part["Completed"] < part["Size"]
    )


def fetched(traffic, digest):
    """The ranges of a blob that were asked for."""
    asked = (
        seen.headers["range"].removeprefix("bytes=").split("-")
        for seen in traffic.requests
        if "range" in seen.headers and seen.path.endswith(digest)
    )
    return sorted((int(start), int(last) + 1) for start, last in asked)


def answers(ollama, digest, name=MODEL):
    """Whether this version of the model is served, and speaks."""
    body = {"model": name, "messages": [{"role": "user", "content": "hi"}], "stream": False}
    answered = httpx.post(f"{ollama.url}/api/chat", json=body, timeout=60, trust_env=False)
    return ollama.tags().get(name) == digest and answered.json().get("done") is True


@pytest.fixture
def update(model, registry, traffic):
    """Fail to update, and prove what has to be true then; gives the message."""

    def update(ollama, trouble, *, open_bytes=None, **params):
        old = registry.offer(MODEL)
        ollama.pull(MODEL, registry)
        model(ollama, state="present")
        new = registry.offer(MODEL, weights="newer", padding=PADDING)
        weights = max(registry.layers(MODEL), key=registry.layers(MODEL).get)
        with trouble(ollama):
            message = model(ollama, fails=True, **params)["msg"]
        assert answers(ollama, old)
        # A server whose client has left takes a moment to note what it has.
        until(lambda: open_bytes is None or sum(b - a for a, b in rest(ollama)) == open_bytes)
        missing = rest(ollama)
        traffic.clear()
        result = model(ollama)
        assert result["changed"] is True
        assert result["drift"] is None
        assert answers(ollama, new)
        assert set(ollama.tags()) == {MODEL}
        if open_bytes is not None:
            assert fetched(traffic, weights) == missing
        assert model(ollama)["changed"] is False
        return message

    return update


# --- pulls ---------------------------------------------------------------------------------------


def test_registry_that_breaks_off_is_an_error_line_after_http_200(update, ollama, registry):
    @contextlib.contextmanager
    def trouble(_ollama):
        nothing = {"match": {"role": "cdn"}, "count": None, "action": {"cut_after": 0}}
        order(registry, {"match": {"role": "cdn"}, "action": {"cut_after": ARRIVES}}, nothing)
        yield
        order(registry)

    size = len(small_gguf("newer")) + PADDING
    message = update(ollama, trouble, open_bytes=size - ARRIVES)
    assert "says: max retries exceeded: " in message
    assert f"{AGAIN} when the registry answers." in message


def test_stream_that_is_cut_in_the_middle_of_its_lines(update, ollama, registry, before_ollama):
    @contextlib.contextmanager
    def trouble(_ollama):
        order(registry, stall())
        before_ollama.tamper(cut_after(20), path("POST /api/pull"))
        yield
        order(registry)

    message = update(ollama, trouble, open_bytes=PART - ARRIVES)
    assert "broke on /api/pull" in message
    assert f"{AGAIN}. Did the server restart? See: edgellm logs" in message


def test_server_that_is_killed_in_the_middle_costs_one_part(update, process, registry):
    @contextlib.contextmanager
    def trouble(ollama):
        order(registry, stall())
        with meanwhile(lambda: one_part_is_open(ollama), ollama.kill):
            yield
        order(registry)
        ollama.start()

    # What a part has received is noted when it ends, so all of the open one is fetched again.
    message = update(process, trouble, open_bytes=PART)
    assert "broke on /api/pull: " in message
    assert AGAIN in message


def test_server_that_is_killed_before_the_model_has_its_name(update, process, registry, traffic):
    @contextlib.contextmanager
    def trouble(ollama):
        ollama.kill()
        ollama.start(dies_before='"status":"success"')
        yield
        ollama.kill()
        ollama.start()

    message = update(process, trouble, open_bytes=0)
    assert "broke on /api/pull" in message


def test_registry_that_goes_down_in_the_middle(update, ollama, origin, traffic):
    with contextlib.ExitStack() as down:
        app = create_origin(origin, cdn_host="localhost")
        there = Registry(origin / "registry", down.enter_context(serve(traffic.watch(app, "r"))))

        @contextlib.contextmanager
        def trouble(ollama):
            order(there, stall())
            with meanwhile(lambda: one_part_is_open(ollama), down.close):
                yield

        message = update(ollama, trouble, open_bytes=PART - ARRIVES, registry_mirror=there.url)
    assert "says: max retries exceeded: " in message
    assert "connection refused" in message
    assert AGAIN in message


def test_registry_that_is_down_from_the_start(update, ollama, nobody, traffic):
    message = update(ollama, lambda _ollama: contextlib.nullcontext(), registry_mirror=nobody)
    assert f"The model registry {nobody} does not answer" in message
    assert "registry_mirror" in message


def test_damaged_blob_is_fetched_again_and_nothing_else(update, ollama, registry, traffic):
    @contextlib.contextmanager
    def trouble(_ollama):
        sizes = registry.layers(MODEL)
        blob = registry.blob(max(sizes, key=sizes.get))
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + b"x")
        yield
        blob.write_bytes(content)

    message = update(ollama, trouble)
    assert "digest mismatch, file must be downloaded again: want sha256:" in message
    assert "kept the others: run it again" in message
    asked = {seen.path.rpartition("/")[2] for seen in traffic.requests if "range" in seen.headers}
    sizes = registry.layers(MODEL)
    assert asked == {max(sizes, key=sizes.get)}


def test_full_disk_of_the_server(update, ollama, monkeypatch):
    write = os.pwrite

    @contextlib.contextmanager
    def trouble(_ollama):
        room = [PART]

        def full(descriptor, content, offset):
            room[0] -= len(content)
            if room[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, content, offset)

        with monkeypatch.context() as disk:
            disk.setattr(os, "pwrite", full)
            yield
            until(lambda: rest(ollama))

    message = update(ollama, trouble)
    assert "-partial: no space left on device. Free space on the disk" in message
    assert "ollama_model_prune" in message


def test_full_disk_is_seen_before_the_first_byte(update, ollama, monkeypatch, traffic):
    @contextlib.contextmanager
    def trouble(_ollama):
        traffic.clear()
        with monkeypatch.context() as disk:
            disk.setattr(
                "ansible_collections.edgellm.host.plugins.module_utils.ollama.store.Store.disk",
                lambda _store: Disk(1000, 1000),
            )
            yield
        assert not any(seen.mutates for seen in traffic.requests)

    message = update(ollama, trouble, store=str(ollama.store))
    assert "GB are needed. Free space, or remove a model first" in message


SILENCES = {
    "manifest": (
        lambda scope: path("GET", "/manifests/")(scope) and from_server(scope),
        "sent nothing for 2 s",
    ),
    "size": (path("HEAD", "/blobs/"), "sent nothing for 2 s on /api/pull"),
    "first byte": (path("GET", "/ollama/blobs/"), "got no byte for 2 s"),
}


def from_server(scope):
    return b"edgellm" not in dict(scope["headers"])[b"user-agent"]


@pytest.mark.parametrize("silence", SILENCES)
def test_registry_that_is_silent(update, ollama, before_registry, silence):
    awaited, complaint = SILENCES[silence]

    @contextlib.contextmanager
    def trouble(_ollama):
        speaks = threading.Event()
        before_registry.tamper(wait_for(speaks), awaited)
        yield
        speaks.set()

    message = update(ollama, trouble, timeout=2)
    assert complaint in message
    assert AGAIN.lower() in message.lower()
    assert "raise the option timeout" in message


def test_slow_pull_outlasts_the_timeout_as_long_as_bytes_move(model, ollama, registry, monkeypatch):
    monkeypatch.setattr(download, "MIN_PART", 10 * PADDING)
    digest = registry.offer(MODEL, padding=PADDING)
    # More than five seconds of trickling.
    trickle = {"match": {"role": "cdn"}, "count": None, "action": {"throttle": PART}}
    order(registry, trickle)
    assert model(ollama, timeout=2)["changed"] is True
    assert answers(ollama, digest)


def test_run_that_ends_before_it_is_recorded_blames_nobody(model, ollama, registry, before_ollama):
    registry.offer(MODEL)
    model(ollama)
    digest = registry.offer(MODEL, weights="newer")
    before_ollama.tamper(unheard, path("DELETE"))
    assert "broke on /api/delete" in model(ollama, fails=True)["msg"]
    assert answers(ollama, digest)
    for _run in range(2):
        result = model(ollama, state="present")
        assert (result["changed"], result["drift"]) == (False, None)
    registry.offer("theirs", weights="theirs")
    ollama.pull("theirs", registry, known_as=MODEL)
    assert model(ollama, state="present")["drift"]["recorded"] == digest


def test_name_of_the_mirror_that_a_broken_run_left_goes(model, ollama, registry, before_ollama):
    digest = registry.offer(MODEL)
    before_ollama.tamper(lost, path("DELETE"))
    assert "broke on /api/delete" in model(ollama, fails=True)["msg"]
    assert set(ollama.tags().values()) == {digest}
    assert len(ollama.tags()) == 2
    result = model(ollama, state="present")
    assert [action["action"] for action in result["plan"]["actions"]] == ["delete"]
    assert ollama.tags() == {MODEL: digest}
    assert model(ollama, state="present")["changed"] is False


# --- creations -----------------------------------------------------------------------------------

TEXT = "FROM tiny.gguf\nPARAMETER temperature 0.7\n"
NEWER = TEXT + "SYSTEM be kind\n"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "files" / "tiny.gguf"
    path.parent.mkdir()
    path.write_bytes(small_gguf("tiny"))
    return path


@pytest.fixture
def options(tmp_path, weights):
    return {
        "timeout": 30,
        "name": "tiny",
        "gguf": str(weights),
        "modelfile": NEWER,
        "record": str(tmp_path / "record.json"),
    }


@pytest.fixture
def created(run_module, options):
    """Run the module for a model of that file."""

    def run(ollama, **params):
        return run_module("ollama_model", **{"url": ollama.url, **options, **params})

    return run


@pytest.fixture
def renew(created, weights, traffic):
    """Fail to make the model anew from another file and Modelfile, and prove what has to be true
    then; gives the message and what the next run does."""

    def renew(ollama, trouble, *, after=None, **params):
        old = created(ollama, modelfile=TEXT)["model"]["digest"]
        weights.write_bytes(small_gguf("newer") + bytes(PADDING))
        with trouble(ollama):
            message = created(ollama, fails=True, **params)["msg"]
        if after is None:
            assert answers(ollama, old, "tiny:latest")
        traffic.clear()
        result = created(ollama)
        assert result["drift"] is None
        assert result["snapshot"] is None
        assert answers(ollama, result["model"]["digest"], "tiny:latest")
        assert result["model"]["digest"] != old
        assert set(ollama.tags()) == {"tiny:latest"}
        assert created(ollama)["changed"] is False
        return message, [action["action"] for action in result["plan"]["actions"]]

    return renew


def dying(words):
    """The server dies before it says this, and is started again."""

    @contextlib.contextmanager
    def trouble(ollama):
        ollama.kill()
        ollama.start(dies_before=words)
        yield
        ollama.kill()
        ollama.start()

    return trouble


def test_server_that_dies_in_an_upload(renew, process):
    message, then = renew(process, dying("upload"))
    assert "broke on /api/blobs/sha256:" in message
    assert "Run it again. Did the server restart?" in message
    assert then == ["upload", "create"]


def test_server_that_dies_while_it_creates_needs_no_second_upload(renew, process):
    message, then = renew(process, dying('"status":"writing manifest"'))
    assert "broke on /api/create" in message
    assert "Run it again. Did the server restart?" in message
    assert then == ["create"]


def test_server_that_dies_before_it_says_success_has_made_the_model(renew, process):
    # Neither made again nor taken for the work of somebody else.
    message, then = renew(process, dying('"status":"success"'), after="made")
    assert "broke on /api/create" in message
    assert then == []


CREATIONS = {
    "error line": (
        answer({"status": "parsing GGUF"}, {"error": "write /x/sha256-1: no space left on device"}),
        "no space left on device. Free space on the disk of the server's store",
    ),
    "end": (answer({"status": "parsing GGUF"}), '"parsing GGUF"}. Run it again.'),
}


@pytest.mark.parametrize("fault", CREATIONS)
def test_creation_that_fails_in_its_stream(renew, ollama, before_ollama, fault):
    how, complaint = CREATIONS[fault]

    @contextlib.contextmanager
    def trouble(_ollama):
        before_ollama.tamper(how, path("POST /api/create"))
        yield

    message, then = renew(ollama, trouble)
    assert complaint in message
    assert then == ["create"]


def test_silent_creation(renew, ollama, before_ollama):
    speaks = threading.Event()

    @contextlib.contextmanager
    def trouble(_ollama):
        before_ollama.tamper(wait_for(speaks), path("POST /api/blobs/"))
        yield
        speaks.set()

    message, _then = renew(ollama, trouble, timeout=2)
    assert "sent nothing for 2 s on /api/blobs/sha256:" in message
    assert "raise the option timeout. Run it again." in message


def test_full_disk_in_an_upload(renew, ollama, monkeypatch):
    @contextlib.contextmanager
    def full(store):
        with new_file(store) as (file, temporary):
            file.close()
            # What is written to this device finds no room.
            with Path("/dev/full").open("wb", buffering=0) as device:
                yield device, temporary

    new_file = Store.new_file

    @contextlib.contextmanager
    def trouble(_ollama):
        with monkeypatch.context() as disk:
            disk.setattr(Store, "new_file", full)
            yield

    message, then = renew(ollama, trouble)
    assert "no space left on device (HTTP 500 on /api/blobs/sha256:" in message
    assert "Free space on the disk of the server's store" in message
    assert then == ["upload", "create"]


# --- links ---------------------------------------------------------------------------------------

LINKABLE = NEWER + 'TEMPLATE "{{ .Prompt }}"\nPARAMETER stop <|im_end|>\n'
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from ansible.module_utils.testing import patch_module_args
from ansible_collections.edgellm.host.plugins.modules import ollama_model

replace = Path.replace

def dying(path, target):
    if "manifests" in Path(target).parts:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)

Path.replace = dying
with patch_module_args(json.loads(sys.argv[1])):
    ollama_model.main()
"""


def test_link_that_is_killed_between_blob_and_manifest(
    created, options, ollama, root, weights, traffic
):
    (ollama.store / "blobs").mkdir(parents=True, exist_ok=True)
    linked = {"modelfile": LINKABLE, "store": str(ollama.store)}
    old = created(ollama, **linked)["model"]["digest"]
    weights.unlink()
    weights.write_bytes(small_gguf("newer"))
    given = {**options, **linked, "url": ollama.url, "_ansible_remote_tmp": str(weights.parent)}
    env = {**os.environ, "PYTHONPATH": str(root / "collections")}
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(given)],
        env=env,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert answers(ollama, old, "tiny:latest")
    traffic.clear()
    result = created(ollama, **linked)
    assert (result["import_method"], result["drift"]) == ("link", None)
    sent = [seen.line for seen in traffic.requests if seen.mutates]
    assert sent == ["POST /api/copy", "DELETE /api/delete"]
    assert answers(ollama, result["model"]["digest"], "tiny:latest")
    assert [path.name for path in (ollama.store / "blobs").iterdir() if len(path.name) < 71] == []
    assert created(ollama, **linked)["changed"] is False

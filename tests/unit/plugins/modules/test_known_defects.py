# SPDX-License-Identifier: GPL-3.0-or-later
"""What declarative model tools get wrong, one test each."""

from __future__ import annotations

import hashlib
import os

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import patience

from lab.ollama.app import create_app
from lab.ollama.settings import Settings
from lab.ollama.store import Store, parse_manifest
from tests.unit.conftest import Ollama, small_gguf
from tests.unit.file_server import Fault, FileServer


@pytest.fixture
def model(run_module, ollama, registry):
    """Run the module for this server, through the registry as its mirror."""

    def run(name, **params):
        connection = {"url": ollama.url, "registry_mirror": registry.url, "timeout": 10}
        return run_module("ollama_model", **{"name": name, **connection, **params})

    return run


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(small_gguf("tiny"))
    return path


@pytest.fixture
def created(run_module, ollama, weights, tmp_path):
    """Run the module for a model of a file."""

    def run(**params):
        given = {
            "url": ollama.url,
            "timeout": 10,
            "name": "tiny",
            "gguf": str(weights),
            "modelfile": "FROM ./tiny.gguf\nPARAMETER num_ctx 1024\nSYSTEM be kind\n",
            "record": str(tmp_path / "record.json"),
        }
        return run_module("ollama_model", **{**given, **params})

    return run


@pytest.fixture
def prune(run_module, ollama):
    """Remove what is not in this list."""

    def run(*names, **params):
        given = {"url": ollama.url, "store": str(ollama.store), "min_age": 0, **params}
        return run_module("ollama_model_prune", unlisted=True, keep=list(names), **given)

    return run


def sent(traffic):
    return [seen.line for seen in traffic.requests if seen.mutates]


# --- names ---------------------------------------------------------------------------------------


def test_untagged_name_is_not_pulled_on_every_run(model, ollama, registry):
    # Comparing raw names deletes and pulls such a model in every run.
    registry.offer("bge-m3")
    assert model("bge-m3")["changed"] is True
    assert list(ollama.tags()) == ["bge-m3:latest"]
    for name in ("bge-m3", "bge-m3:latest", "library/bge-m3", "BGE-M3"):
        assert model(name)["changed"] is False


def test_tagged_name_is_not_pulled_on_every_run(model, registry, traffic):
    # Stripping the tags of installed models makes one with a tag never match.
    registry.offer("qwen2.5:7b-instruct")
    model("qwen2.5:7b-instruct")
    traffic.clear()
    assert model("qwen2.5:7b-instruct")["changed"] is False
    assert sent(traffic) == []


def test_untagged_name_is_not_satisfied_by_any_tag(model, ollama, registry):
    registry.offer("llama2:13b")
    registry.offer("llama2")
    model("llama2:13b")
    assert model("llama2")["changed"] is True
    assert set(ollama.tags()) == {"llama2:13b", "llama2:latest"}


def test_another_tag_of_the_same_model_is_not_enough(model, registry):
    # Comparing only what is before the colon never pulls the second one.
    registry.offer("qwen2.5:0.5b")
    registry.offer("qwen2.5:7b-instruct")
    model("qwen2.5:0.5b")
    assert model("qwen2.5:7b-instruct")["changed"] is True


def test_removing_a_model_leaves_the_one_whose_name_goes_on(model, ollama, registry):
    # An unanchored pattern confuses the two.
    for name in ("qwen2.5", "qwen2.5-coder", "qwen2.5:7b"):
        registry.offer(name)
        model(name)
    model("qwen2.5", state="absent")
    assert set(ollama.tags()) == {"qwen2.5-coder:latest", "qwen2.5:7b"}


# --- what counts as a change ---------------------------------------------------------------------


def test_pull_of_what_is_there_is_no_change(model, ollama, registry):
    # An up-to-date pull writes the manifest anew, so that the time of the model moves.
    registry.offer("x")
    model("x")
    ollama.pull("x", registry)
    for state in ("present", "latest"):
        assert model("x", state=state)["changed"] is False


def test_change_is_judged_by_the_digest_though_no_line_said_pulling(model, ollama, registry):
    # All blobs are there already, so the server has nothing to tell but success.
    registry.offer("x")
    model("x")
    ollama.copy("x", "y")
    ollama.delete("x")
    result = model("x")
    assert result["changed"] is True
    assert result["plan"]["bytes_fetch"] == 0


def test_change_upstream_is_told_as_a_change(model, registry):
    registry.offer("x")
    model("x")
    registry.offer("x", weights="newer")
    assert model("x", state="latest")["changed"] is True


def test_change_made_by_somebody_else_is_seen(model, ollama, registry):
    # A digest that is only remembered, never read again, misses it.
    expected = registry.offer("x")
    model("x")
    registry.offer("z", weights="other")
    ollama.pull("z", registry, known_as="x")
    registry.offer("x")
    result = model("x", digest=expected)
    assert result["changed"] is True
    assert ollama.tags() == {"x:latest": expected}


def test_expected_digest_is_enforced(model, ollama, registry):
    # A digest that is an attribute and nothing more pins nothing.
    old = registry.offer("x")
    model("x", digest=old)
    registry.offer("x", weights="newer")
    assert model("x", state="latest", digest=old, fails=True)["offered"] != old
    assert ollama.tags() == {"x:latest": old}


def test_deleting_an_absent_model_is_no_failure(model):
    assert model("x", state="absent")["changed"] is False


# --- what counts as success ----------------------------------------------------------------------


def test_error_line_after_http_200_is_a_failure(model, ollama, registry):
    registry.offer("x")
    damaged = registry.blob(next(iter(registry.layers("x"))))
    damaged.write_bytes(bytes(damaged.stat().st_size))
    assert "digest mismatch" in model("x", fails=True)["msg"]
    assert ollama.tags() == {}


def test_pull_is_streamed_so_that_no_timeout_ends_it(model, registry, traffic):
    # A pull that is asked for as one answer is cancelled by the timeout of whoever waits for it.
    registry.offer("x")
    model("x")
    (pull,) = (seen.json for seen in traffic.requests if seen.line == "POST /api/pull")
    assert pull["stream"] is True


def test_embedding_model_is_proven_by_an_embedding(run_module, model, ollama, registry, traffic):
    # It cannot generate, so that a request for text fails, or is ignored.
    registry.offer("bge-m3", embeds=True)
    model("bge-m3")
    traffic.clear()
    assert run_module("ollama_probe", url=ollama.url, name="bge-m3")["probe"]["dimensions"] > 0
    assert sent(traffic) == ["POST /api/embed"]


# --- check mode ----------------------------------------------------------------------------------


def test_check_mode_of_pull_create_and_delete_sends_nothing(model, created, registry, traffic):
    registry.offer("there")
    registry.offer("missing")
    model("there")
    traffic.clear()
    for foreseen in (
        model("missing", check_mode=True),
        created(check_mode=True),
        model("there", state="absent", check_mode=True),
    ):
        assert foreseen["changed"] is True
    assert sent(traffic) == []


# --- what stays in service -----------------------------------------------------------------------


def test_update_pulls_before_anything_is_deleted(model, registry, traffic):
    # Deleting first means an outage, and a loss when the pull fails.
    registry.offer("x")
    model("x")
    registry.offer("x", weights="newer")
    traffic.clear()
    model("x", state="latest")
    asked = [(seen.line, seen.json) for seen in traffic.requests if seen.mutates]
    vehicle = f"{registry.url.removeprefix('http://')}/library/x:latest"
    assert asked == [
        ("POST /api/pull", {"model": vehicle, "insecure": True, "stream": True}),
        ("POST /api/copy", {"source": vehicle, "destination": "x:latest"}),
        ("DELETE /api/delete", {"model": vehicle}),
    ]


def test_models_of_nobodys_list_are_left_alone(model, ollama, registry):
    registry.offer("x")
    registry.offer("own")
    ollama.pull("own", registry, known_as="made-here")
    model("x", state="latest")
    model("x", state="absent")
    assert list(ollama.tags()) == ["made-here:latest"]


# --- created models ------------------------------------------------------------------------------


def test_create_never_sends_a_modelfile_field(created, traffic):
    # The API has none since 0.5.5: whoever sends it is told that nothing was specified.
    created()
    (request,) = (seen.json for seen in traffic.requests if seen.line == "POST /api/create")
    assert not any("modelfile" in key or "model_file" in key for key in request)
    assert (request["system"], request["parameters"]) == ("be kind", {"num_ctx": 1024})
    assert list(request["files"]) == ["tiny.gguf"]


def test_created_model_is_not_created_again_in_every_run(created, traffic):
    created()
    traffic.clear()
    assert created()["changed"] is False
    assert sent(traffic) == []


def test_created_model_without_tag_is_not_pruned_after_its_creation(created, prune, ollama):
    # The server lists it with a tag that its list of names does not have.
    created()
    assert prune("tiny")["plan"]["models"] == []
    assert set(ollama.tags()) == {"tiny:latest"}
    assert created()["changed"] is False


class Rewriting:
    """A server that, as real ones from 0.30 on, keeps other bytes than those it was sent."""

    def __init__(self, app, store) -> None:
        self.app, self.router = app, app.router
        self.store = Store(store)

    async def __call__(self, scope, receive, send):
        async def sending(message):
            if scope["path"] == "/api/create" and b'"success"' in message.get("body", b""):
                self._rewrite()
            await send(message)

        await self.app(scope, receive, sending)

    def _rewrite(self):
        for name in self.store.names():
            manifest = self.store.manifest_path(name)
            (layer,) = parse_manifest(manifest.read_bytes()).of_kind("model")
            blob = self.store.blob_path(layer.digest)
            content = blob.read_bytes() + b"quantized"
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            self.store.blob_path(digest).write_bytes(content)
            blob.unlink()
            manifest.write_text(manifest.read_text().replace(layer.digest, digest))


@pytest.mark.parametrize("recorded", [True, False])
def test_blob_missing_by_its_file_hash_does_not_mean_model_missing(
    created, served, ollama, weights, tmp_path, traffic, recorded
):
    store = tmp_path / "rewriting"
    app = create_app(store, ollama.engine, settings=Settings(noprune=True))
    rewriting = Ollama(served(Rewriting(app, store), "ollama"), store, ollama.engine)
    created(url=rewriting.url)
    assert not (store / "blobs" / f"sha256-{sha256_of(weights)}").exists()
    if not recorded:
        (tmp_path / "record.json").unlink()
    traffic.clear()
    assert created(url=rewriting.url)["changed"] is False
    assert not any("/api/blobs/" in line for line in traffic.lines())


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- pruning -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "installed", "gone"),
    [
        # By raw names, a model is deleted and pulled again in every run.
        (["bge-m3"], ["bge-m3:latest"], []),
        (["bge-m3:latest", "BGE-M3"], ["bge-m3"], []),
        # By a pattern without ends, what is listed saves what only begins like it.
        (["qwen2.5"], ["qwen2.5", "qwen2.5-coder:7b"], ["qwen2.5-coder:7b"]),
        (["qwen2.5-coder:7b"], ["qwen2.5", "qwen2.5-coder:7b"], ["qwen2.5:latest"]),
        # By what is before the tag, one tag saves them all.
        (["qwen2.5:7b"], ["qwen2.5:7b", "qwen2.5:14b"], ["qwen2.5:14b"]),
        (["llama2"], ["llama2", "llama2:13b"], ["llama2:13b"]),
        (["me/x", "y"], ["me/x", "x", "y"], ["x:latest"]),
    ],
)
def test_prune_regex_never_decides_names_are_compared_whole(
    prune, registry, ollama, listed, installed, gone
):
    for number, name in enumerate(installed):
        registry.offer(f"offered:{number}", weights=name)
        ollama.pull(f"offered:{number}", registry, known_as=name)
    before = set(ollama.tags())
    assert [removed["name"] for removed in prune(*listed)["plan"]["models"]] == gone
    assert set(ollama.tags()) == before - set(gone)


@pytest.mark.parametrize("check_mode", [True, False])
def test_prune_with_an_empty_list_is_refused(prune, ollama, registry, traffic, check_mode):
    # Not taken for the wish to remove everything, and no crash either.
    registry.offer("x")
    ollama.pull("x", registry)
    traffic.clear()
    assert "would remove every model" in prune(check_mode=check_mode, fails=True)["msg"]
    assert traffic.lines() == []


def test_prune_removes_nothing_before_what_is_wanted_is_there(prune, ollama, registry):
    registry.offer("qwen2.5:7b")
    ollama.pull("qwen2.5:7b", registry)
    message = prune("qwen2.5:14b", fails=True)["msg"]
    assert "None of the models in keep is installed" in message
    assert "qwen2.5:14b" in message
    assert set(ollama.tags()) == {"qwen2.5:7b"}


# --- downloads -----------------------------------------------------------------------------------

CONTENT = b"GGUF" + os.urandom(300_000)
NEWER = b"GGUF" + os.urandom(300_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(patience, "BASE_SECONDS", 0.0)
    with FileServer(CONTENT).running() as server:
        yield server


@pytest.fixture
def dest(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / "x-q4_k_m.gguf"


@pytest.fixture
def have(run_module, server, dest):
    """Run the module with a file of the repository."""

    def have(**params):
        given = {"repo": "n/r", "file": dest.name, "endpoint": server.endpoint, "dest": str(dest)}
        return run_module("gguf_file", **{**given, **params})

    return have


def test_newer_file_that_is_fetched_is_a_change(have, server, dest):
    # A file that was there before is no reason to call its replacement unchanged.
    have()
    server.content, server.etag = NEWER, '"two"'
    assert have(sha256=server.sha256)["changed"] is True
    assert dest.read_bytes() == NEWER


def test_file_that_exists_is_not_taken_for_the_right_one_in_check_mode(have, server, dest):
    dest.write_bytes(NEWER + b"more")
    foreseen = have(check_mode=True, sha256=server.sha256)
    assert (foreseen["changed"], foreseen["bytes_fetched"]) == (True, len(CONTENT))


def test_file_is_named_and_not_the_first_that_a_pattern_finds(have, server):
    have(file="x-*.gguf")
    asked = [seen.path for seen in server.seen if seen.path.startswith("/hub/")]
    assert asked
    assert all(path.endswith("/x-%2A.gguf") for path in asked)


def test_whole_file_in_answer_to_a_range_is_not_appended(have, server, dest):
    server.faults.append(Fault(after=100_000, end="cut"))
    have(retries=0, fails=True)
    server.ranges = False
    assert have()["changed"] is True
    assert dest.read_bytes() == CONTENT

# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions, and what happens between them and the deed; all else is in the module's tests."""

from __future__ import annotations

import os

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.ollama import errors, names, prune
from ansible_collections.edgellm.host.plugins.module_utils.ollama.client import Client, Installed
from ansible_collections.edgellm.host.plugins.module_utils.ollama.store import (
    Contents,
    File,
    Store,
)
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ORPHAN, PARTIAL = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NOW = 1_000_000.0


def file(name="sha256-1", *, modified=0.0, changed=0.0, links=1, inode=1, size=10):
    return File(name, size, 4096, modified, changed, links, 1, inode)


def decide(contents, **wanted):
    asked = prune.Wanted(orphans=True, partials=True, min_age=3600, **wanted)
    return prune.decide(asked, prune.State(NOW, contents=contents))


@pytest.mark.parametrize(
    ("modified", "changed", "goes"),
    [
        (NOW - 3600, NOW - 3600, True),
        (NOW - 3599, NOW - 7200, False),
        # A new hard link to an old file, as an import makes it.
        (0, NOW - 10, False),
        # A clock that was set back proves no age.
        (NOW + 500, NOW - 7200, False),
    ],
)
def test_only_what_was_left_in_peace_long_enough_goes(modified, changed, goes):
    seen = file(modified=modified, changed=changed)
    plan = decide(Contents(blobs={ORPHAN: seen}, partials={PARTIAL: (seen,)}, strays=(seen,)))
    assert len(plan.orphans) == (1 if goes else 0)
    assert len(plan.partials) == (2 if goes else 0)
    assert plan.changed is goes
    assert len(plan.kept) == (0 if goes else 3)


def test_partial_download_is_as_young_as_its_youngest_file():
    old, young = file("p"), file("p-0", modified=NOW)
    assert decide(Contents(partials={PARTIAL: (old, young)})).partials == ()


def test_bytes_are_those_of_the_disk():
    blobs = {
        ORPHAN: file(inode=1, links=2),
        PARTIAL: file(inode=1, links=2),
        "sha256:" + "c" * 64: file(inode=2, links=2, size=500),
        "sha256:" + "d" * 64: file(inode=3, size=30),
        # Mostly a hole.
        "sha256:" + "e" * 64: file(inode=4, size=1_000_000),
    }
    plan = decide(Contents(blobs=blobs))
    assert plan.bytes_freed == 10 + 30 + 4096
    assert [blob["bytes_freed"] for blob in plan.to_result()["blobs"]] == [0, 0, 0, 30, 4096]


def test_order_of_the_removed_models_does_not_depend_on_the_server():
    installed = [Installed(names.parse(name), name, 1) for name in ("z", "keep", "a", "M")]
    asked = prune.Wanted(unlisted=True, keep=(names.parse("keep"),))
    for order in (installed, installed[::-1]):
        plan = prune.decide(asked, prune.State(NOW, tuple(order)))
        assert [model.name.model for model in plan.models] == ["a", "M", "z"]


# --- between the decision and the deed -----------------------------------------------------------


@pytest.fixture
def race(ollama, registry):
    """Plan to remove `y`, an orphan and a partial download; then something happens; then apply."""
    for name in ("x", "y"):
        registry.offer(name, weights=name)
        ollama.pull(name, registry)
    store = Store(ollama.store)
    store.blob(ORPHAN).write_bytes(b"weights")
    (store.blobs / f"{store.blob(PARTIAL).name}-partial").write_bytes(b"part")
    wanted = prune.Wanted(
        orphans=True, partials=True, min_age=0, unlisted=True, keep=(names.parse("x"),)
    )

    def run(meanwhile):
        with Client(ollama.url, timeout=5) as client:
            plan = prune.decide(wanted, prune.read(client, wanted, store))
            assert (len(plan.models), len(plan.orphans), len(plan.partials)) == (1, 1, 1)
            meanwhile(store)
            return prune.apply(client, store, plan)

    return run


def model(store, name, raw):
    path = store.manifest(names.parse(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def make_a_model_of_the_orphan(store):
    layer = b'{"digest":"%s","size":7}' % ORPHAN.encode()
    model(store, "new", b'{"schemaVersion":2,"config":%s,"layers":[]}' % layer)


def test_undisturbed_plan_is_carried_out(race, ollama):
    done = race(lambda _store: None)
    assert (len(done.models), len(done.orphans), len(done.partials)) == (1, 1, 1)
    assert done.layers
    assert done.kept == ()
    assert set(ollama.tags()) == {"x:latest"}


def test_model_that_is_made_meanwhile_loses_nothing(race, ollama):
    done = race(make_a_model_of_the_orphan)
    assert (done.orphans, len(done.partials)) == ((), 1)
    assert Store(ollama.store).blob(ORPHAN).read_bytes() == b"weights"
    assert [(kept.name, kept.reason) for kept in done.kept] == [
        (ORPHAN, "a model that was made meanwhile needs it")
    ]


def test_manifest_that_is_being_written_saves_the_blobs(race, ollama):
    done = race(lambda store: model(store, "new", b'{"schemaVersion":2,'))
    assert done.orphans == ()
    assert Store(ollama.store).blob(ORPHAN).exists()
    # The server leaves the layers of a removed model then, which is told too.
    assert (len(done.models), done.layers) == (1, ())
    reasons = [kept.reason for kept in done.kept]
    assert reasons[0] == "the server did not remove it with its models"
    assert reasons[-1].startswith("nobody knows which blobs are needed")


def test_blob_that_is_used_again_meanwhile_stays(race, ollama):
    # Servers from 0.21 on touch a blob when they use it again.
    done = race(lambda store: os.utime(store.blob(ORPHAN)))
    assert done.orphans == ()
    assert Store(ollama.store).blob(ORPHAN).exists()
    assert [kept.reason for kept in done.kept] == ["somebody else changed it meanwhile"]


def test_download_that_goes_on_meanwhile_stays(race):
    def grow(store):
        (partial,) = store.blobs.glob("*-partial")
        partial.write_bytes(b"part and more")

    done = race(grow)
    assert (done.partials, len(done.orphans)) == ((), 1)
    assert [kept.kind for kept in done.kept] == ["partial"]


@pytest.mark.parametrize("event", ["replaced", "gone"])
def test_model_that_somebody_changed_meanwhile_is_left_to_him(race, ollama, event):
    def meanwhile(_store):
        if event == "gone":
            ollama.delete("y")
        else:
            ollama.copy("x", "y")

    done = race(meanwhile)
    assert (done.models, done.layers) == ((), ())
    assert ("y:latest" in ollama.tags()) is (event == "replaced")
    assert [(kept.name, kept.reason) for kept in done.kept] == [
        ("y:latest", "somebody else changed it meanwhile")
    ]


def test_model_that_is_there_again_is_a_failure(served):
    entry = {"name": "y:latest", "digest": "d", "size": 1}

    async def tags(_request):
        return JSONResponse({"models": [entry]})

    async def ps(_request):
        return JSONResponse({"models": []})

    async def deleted(_request):
        return Response()

    routes = [
        Route("/api/tags", tags),
        Route("/api/ps", ps),
        Route("/api/delete", deleted, methods=["DELETE"]),
    ]
    plan = prune.Plan(models=(Installed(names.parse("y"), "d", 1),))
    with (
        Client(served(Starlette(routes=routes)), timeout=5) as client,
        pytest.raises(errors.OllamaError, match="y:latest was removed, but is there again"),
    ):
        prune.apply(client, None, plan)


def test_journals_go_before_the_file_they_are_about(tmp_path):
    # A journal alone would make the server believe that bytes are there which are not.
    store = Store(tmp_path)
    for folder in (store.blobs, store.manifests):
        folder.mkdir()
    name = f"{store.blob(PARTIAL).name}-partial"
    for suffix in ("", "-0", "-1"):
        (store.blobs / f"{name}{suffix}").write_bytes(b"x")
    wanted = prune.Wanted(partials=True, min_age=0)
    removed = []
    unlink = os.unlink

    def watched(path, **options):
        removed.append(path)
        unlink(path, **options)

    with Client("http://127.0.0.1:9", timeout=1) as client, pytest.MonkeyPatch.context() as patch:
        plan = prune.decide(wanted, prune.read(client, wanted, store))
        patch.setattr(os, "unlink", watched)
        prune.apply(client, store, plan)
    assert removed == [f"{name}-1", f"{name}-0", name]

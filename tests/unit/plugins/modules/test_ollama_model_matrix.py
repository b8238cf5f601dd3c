# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state of a host times every wish: what check mode says is what then happens."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

MODEL = "m:1b"
# As large as to be interrupted in the middle.
PADDING = 50_000


@dataclasses.dataclass
class Scene:
    """A host with a record, and a registry that can be switched off."""

    ollama: object
    registry: object
    run: object
    mirror: str
    locked: str = ""

    def offered(self):
        path = self.registry.root / "manifests" / "library" / MODEL.replace(":", "/")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def wish(self, **params):
        return self.run(name=MODEL, registry_mirror=self.mirror, **params)


@pytest.fixture
def scene(run_module, ollama, registry, tmp_path):
    (ollama.store / "blobs").mkdir(parents=True, exist_ok=True)
    fixed = {
        "url": ollama.url,
        "timeout": 10,
        "record": str(tmp_path / "record.json"),
        "store": str(ollama.store),
    }

    def run(**params):
        return run_module("ollama_model", **fixed, **params)

    return Scene(ollama, registry, run, registry.url)


def absent(scene):
    pass


def present(scene):
    scene.wish()


def unrecorded(scene):
    scene.ollama.pull(MODEL, scene.registry)


def stale(scene):
    scene.wish()
    scene.registry.offer(MODEL, weights="newer", padding=PADDING)


def edited(scene):
    scene.wish()
    scene.registry.offer("theirs", weights="theirs")
    scene.ollama.pull("theirs", scene.registry, known_as=MODEL)


def stale_and_edited(scene):
    edited(scene)
    scene.registry.offer(MODEL, weights="newer", padding=PADDING)


def other_tag(scene):
    scene.ollama.pull(MODEL, scene.registry, known_as="m:7b")


def longer_name(scene):
    scene.ollama.pull(MODEL, scene.registry, known_as="m-coder:1b")


def alias(scene):
    scene.wish()
    scene.ollama.copy(MODEL, "also")


def only_alias(scene):
    scene.ollama.pull(MODEL, scene.registry, known_as="also")


def other_letters(scene):
    scene.ollama.pull(MODEL, scene.registry, known_as="M:1B")


def partial(scene):
    sizes = scene.registry.layers(MODEL)
    blob = max(sizes, key=sizes.get)
    stem = scene.ollama.store / "blobs" / blob.replace(":", "-")
    content = scene.registry.blob(blob).read_bytes()
    half = len(content) // 2
    stem.with_name(f"{stem.name}-partial").write_bytes(content[:half] + bytes(len(content) - half))
    journal = {"N": 0, "Offset": 0, "Size": len(content), "Completed": half}
    stem.with_name(f"{stem.name}-partial-0").write_text(json.dumps(journal))


def vehicle_left_over(scene):
    scene.ollama.pull(MODEL, scene.registry)
    scene.ollama.copy(MODEL, f"{scene.mirror.removeprefix('http://')}/library/{MODEL}")
    scene.ollama.delete(MODEL)


def vehicle_left_beside_the_model(scene):
    scene.wish()
    scene.ollama.copy(MODEL, f"{scene.mirror.removeprefix('http://')}/library/{MODEL}")


def lock_says_otherwise(scene):
    scene.wish()
    scene.locked = scene.registry.offer(MODEL, weights="locked", padding=PADDING)


def lock_nobody_has(scene):
    scene.wish()
    scene.locked = "0" * 64


STARTS = [
    absent,
    present,
    unrecorded,
    stale,
    edited,
    stale_and_edited,
    other_tag,
    longer_name,
    alias,
    only_alias,
    other_letters,
    partial,
    vehicle_left_over,
    vehicle_left_beside_the_model,
    lock_says_otherwise,
    lock_nobody_has,
]
WISHES = {
    "present": {"state": "present"},
    "latest": {"state": "latest"},
    "latest, kept": {"state": "latest", "keep_previous": True},
    "absent": {"state": "absent"},
    "locked": {"state": "present"},
}
TOLD = ("failed", "msg", "changed", "plan", "diff", "drift", "snapshot")


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.__name__)
def test_predicted_is_actual_and_the_second_run_is_unchanged(scene, start, wish, offline, nobody):
    scene.locked = scene.registry.offer(MODEL, padding=PADDING)
    start(scene)
    if offline:
        scene.mirror = nobody
    params = {**WISHES[wish], "fails": None}
    if wish == "locked":
        params["digest"] = scene.locked
    before = scene.ollama.tags()

    foreseen = scene.wish(**params, check_mode=True)
    assert scene.ollama.tags() == before
    done = scene.wish(**params)
    for key in TOLD:
        assert foreseen.get(key) == done.get(key), key
    after = scene.ollama.tags()
    if done.get("failed"):
        # Only what needs the registry and cannot have it, and then nothing has happened.
        assert offline or (wish == "locked" and scene.offered() != scene.locked)
        assert after == before
        return
    assert done["changed"] is (after != before)
    assert (foreseen["model"] or {}).items() <= (done["model"] or {}).items()
    if wish == "locked":
        assert find(after) == scene.locked
    if wish == "absent":
        assert find(after) is None
    again = scene.wish(**params)
    assert (again["changed"], again["plan"]["actions"]) == (False, [])
    assert scene.ollama.tags() == after


def find(tags):
    return next((digest for name, digest in tags.items() if name.lower() == MODEL), None)

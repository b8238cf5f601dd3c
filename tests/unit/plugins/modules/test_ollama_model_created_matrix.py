# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state of a host times every wish, for models that are created: what check mode says is what
then happens."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from tests.unit.conftest import small_gguf

MODEL = "tiny:latest"
FILE = """FROM ./tiny.gguf
TEMPLATE "{{ .Prompt }}"
PARAMETER stop <|im_end|>
PARAMETER num_ctx 1024
"""
BASE = "FROM base:1b\nPARAMETER num_ctx 1024\nSYSTEM be kind\n"


@dataclasses.dataclass
class Scene:
    """A host with a record, and one way to make the model."""

    ollama: object
    registry: object
    run: object
    given: dict[str, object]
    weights: Path
    record: Path

    def wish(self, **params):
        return self.run("ollama_model", **{**self.given, **params})

    def digest(self):
        """The digest that the wish gets on this server."""
        digest = self.wish(name="reference", record=None, state="present")["model"]["digest"]
        self.ollama.delete("reference")
        return digest


def scene_of(kind):
    """The options that make a model in this way."""

    def options(weights, ollama, registry):
        if kind == "base":
            return {"from": "base:1b", "modelfile": BASE, "registry_mirror": registry.url}
        file = {"gguf": str(weights), "modelfile": FILE, "import_method": kind}
        return {**file, "store": str(ollama.store)} if kind == "link" else file

    return options


KINDS = ("api", "link", "base")


@pytest.fixture
def scene(run_module, ollama, registry, tmp_path, kind):
    (ollama.store / "blobs").mkdir(parents=True, exist_ok=True)
    registry.offer("base:1b")
    ollama.pull("base:1b", registry)
    weights = tmp_path / "files" / "tiny.gguf"
    weights.parent.mkdir()
    weights.write_bytes(small_gguf("tiny"))
    record = tmp_path / "record.json"
    fixed = {"url": ollama.url, "timeout": 10, "name": "tiny", "record": str(record)}

    def run(module, **params):
        told = {option: value for option, value in params.items() if value is not None}
        return run_module(module, **told)

    given = {**fixed, **scene_of(kind)(weights, ollama, registry)}
    return Scene(ollama, registry, run, given, weights, record)


def absent(scene):
    pass


def present(scene):
    scene.wish()


def unrecorded(scene):
    scene.wish(record=None)


def record_lost(scene):
    scene.wish()
    scene.record.unlink()


def edited(scene):
    scene.wish()
    edit = {"model": "tiny", "from": "tiny", "system": "be rude", "stream": False}
    scene.ollama._post("create", edit)


def edited_and_unrecorded(scene):
    edited(scene)
    scene.record.unlink()


def other_letters(scene):
    scene.wish(name="Tiny:LATEST")


def alias(scene):
    scene.wish()
    scene.ollama.copy("tiny", "also")


def only_alias(scene):
    alias(scene)
    scene.ollama.delete("tiny")


def longer_name(scene):
    scene.wish(name="tiny-coder", record=None)


def blob_only(scene):
    content = scene.weights.read_bytes()
    blob = f"sha256-{hashlib.sha256(content).hexdigest()}"
    (scene.ollama.store / "blobs" / blob).write_bytes(content)


def modelfile_changed(scene):
    older = scene.given["modelfile"].replace("1024", "2048")
    scene.wish(modelfile=older)


def modelfile_changed_unrecorded(scene):
    modelfile_changed(scene)
    scene.record.unlink()


def file_changed(scene):
    scene.wish()
    # Another file under the name, as a download makes it: a linked one is never written to.
    scene.weights.unlink()
    scene.weights.write_bytes(small_gguf("newer"))


def file_gone(scene):
    sha256 = hashlib.sha256(scene.weights.read_bytes()).hexdigest()
    scene.given["gguf_sha256"] = sha256
    scene.wish()
    scene.weights.unlink()


def uploaded(scene):
    scene.wish(import_method="api")


def uploaded_otherwise(scene):
    scene.wish(import_method="api", modelfile=FILE.replace("1024", "2048"))


def base_gone(scene):
    scene.wish()
    scene.ollama.delete("base:1b")


def base_missing(scene):
    scene.ollama.delete("base:1b")


def base_renewed(scene):
    scene.wish()
    scene.registry.offer("base:1b", weights="newer")
    scene.ollama.pull("base:1b", scene.registry)


STARTS = {
    **dict.fromkeys(
        (
            absent,
            present,
            unrecorded,
            record_lost,
            edited,
            edited_and_unrecorded,
            other_letters,
            alias,
            only_alias,
            longer_name,
            modelfile_changed,
            modelfile_changed_unrecorded,
        ),
        KINDS,
    ),
    **dict.fromkeys((blob_only, file_changed, file_gone), ("api", "link")),
    **dict.fromkeys((uploaded, uploaded_otherwise), ("link",)),
    **dict.fromkeys((base_gone, base_missing, base_renewed), ("base",)),
}
CELLS = [(kind, start) for start, kinds in STARTS.items() for kind in kinds]
WISHES = {
    "present": {},
    "kept": {"keep_previous": True},
    "absent": {"state": "absent"},
    "pinned": {},
}
TOLD = (
    "failed",
    "msg",
    "changed",
    "plan",
    "diff",
    "drift",
    "snapshot",
    "import_method",
    "import_reason",
)


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize(
    ("kind", "start"), CELLS, ids=lambda value: getattr(value, "__name__", value)
)
def test_predicted_is_actual_and_the_second_run_is_unchanged(scene, start, wish):
    pinned = scene.digest() if wish == "pinned" else None
    start(scene)
    params = {**WISHES[wish], "digest": pinned, "fails": None}
    before = scene.ollama.tags()

    foreseen = scene.wish(**params, check_mode=True)
    assert scene.ollama.tags() == before
    done = scene.wish(**params)
    for key in TOLD:
        assert foreseen.get(key) == done.get(key), key
    assert not done.get("failed"), done
    after = scene.ollama.tags()
    assert done["changed"] is (after != before)
    known = {key: value for key, value in (foreseen["model"] or {}).items() if value is not None}
    assert known.items() <= (done["model"] or {}).items()
    assert find(after) == (done["model"]["digest"] if wish != "absent" else None)
    if pinned:
        assert find(after) == pinned
    # What somebody else made is never lost, and what is replaced only unless it is to be kept.
    if find(before) != find(after) and wish != "absent":
        kept = start in (edited, edited_and_unrecorded, modelfile_changed_unrecorded)
        assert not kept or find(before) in after.values()
        assert wish != "kept" or find(before) in (None, *after.values())
    again = scene.wish(**params)
    assert (again["changed"], again["plan"]["actions"]) == (False, [])
    assert scene.ollama.tags() == after


def find(tags):
    return next((digest for name, digest in tags.items() if name.lower() == MODEL), None)

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, store

HUB = "registry.ollama.ai/library"
WEIGHTS, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


class Shelf:
    """A store that is filled by hand."""

    def __init__(self, root: Path) -> None:
        self.store = store.Store(root)
        self.store.blobs.mkdir(parents=True)
        self.store.manifests.mkdir()

    def blob(self, digest: str, content: bytes = b"weights") -> Path:
        self.store.blob(digest).write_bytes(content)
        return self.store.blob(digest)

    def model(self, path: str, *digests: str) -> bytes:
        layers = [{"mediaType": "m", "digest": digest, "size": 7} for digest in digests]
        raw = json.dumps({"schemaVersion": 2, "config": layers[-1], "layers": layers[:-1]}).encode()
        self.manifest(path, raw)
        return raw

    def manifest(self, path: str, raw: bytes) -> Path:
        file = self.store.manifests / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(raw)
        return file

    def read(self) -> store.Contents:
        return self.store.read()


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "models")


# --- where it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["absent", "empty", "file"])
def test_folder_that_is_no_store_is_refused(tmp_path, kind):
    root = tmp_path / "x"
    if kind == "empty":
        root.mkdir()
    elif kind == "file":
        root.write_text("")
    for ask in (store.Store(root).read, store.Store(root).disk):
        with pytest.raises(Refused, match=r"is not a store of Ollama.*/srv/edgellm/data/models"):
            ask()


def test_what_is_one_level_off_is_refused(shelf):
    with pytest.raises(Refused, match="neither blobs/ nor manifests/"):
        store.Store(shelf.store.root.parent).read()


def test_blobs_that_cannot_be_read_are_refused(shelf):
    shelf.store.blobs.rmdir()
    shelf.store.blobs.write_text("")
    with pytest.raises(Refused, match="blobs cannot be read: Not a directory"):
        shelf.read()


def test_empty_store_has_nothing(shelf):
    assert shelf.read() == store.Contents()
    assert shelf.read().orphans == {}


def test_room_is_that_of_the_file_system(shelf, tmp_path):
    told = os.statvfs(tmp_path)
    assert shelf.store.disk().size == told.f_blocks * told.f_frsize
    assert 0 < shelf.store.disk().free <= shelf.store.disk().size


# --- manifests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{HUB}/bge-m3/latest", "bge-m3"),
        ("localhost:5000/library/x/7b", "localhost:5000/library/x:7b"),
        ("hf.co/Me/B-GGUF/Q4_K_M", "hf.co/Me/B-GGUF:Q4_K_M"),
    ],
)
def test_manifest_is_known_by_its_name(shelf, path, name):
    raw = shelf.model(path, WEIGHTS, OTHER)
    (entry,) = shelf.read().manifests
    assert entry.name == names.parse(name)
    assert entry.path == shelf.store.manifest(entry.name)
    assert entry.raw == raw
    assert entry.manifest.digest == hashlib.sha256(raw).hexdigest()
    assert list(entry.manifest.blobs) == [WEIGHTS, OTHER]
    assert entry.error is None


def test_manifest_is_found_whatever_the_spelling(shelf):
    shelf.model(f"{HUB}/Llama/7B", WEIGHTS)
    assert shelf.read().find(names.parse("llama:7b")).name.short == "Llama:7B"
    shelf.model(f"{HUB}/llama/7b", OTHER)
    assert shelf.read().find(names.parse("llama:7b")).name.short == "llama:7b"
    assert shelf.read().find(names.parse("llama")) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"schemaVersion": 2, "layers": 5}',
        b"{}\n",
        json.dumps(
            {"schemaVersion": 2, "config": {"digest": WEIGHTS, "size": 1}},
        ).encode("utf-16"),
    ],
)
def test_broken_manifest_makes_the_references_unknown(shelf, raw):
    shelf.blob(WEIGHTS)
    shelf.manifest(f"{HUB}/x/latest", raw)
    contents = shelf.read()
    (entry,) = contents.broken
    assert entry.name == names.parse("x")
    assert entry.raw == raw
    assert entry.error
    assert contents.orphans is None


@pytest.mark.parametrize(
    "path", [f"{HUB}/x/latest~", f"{HUB}/x/.latest.swp", f"{HUB}/x", "loose", f"{HUB}/x/a/b"]
)
def test_file_without_a_models_name_counts_as_a_manifest(shelf, path):
    shelf.model(path, WEIGHTS)
    shelf.blob(WEIGHTS)
    contents = shelf.read()
    assert [entry.name for entry in contents.manifests] == [None]
    assert contents.orphans == {}
    shelf.manifest(path, b"notes")
    assert shelf.read().orphans is None


def test_missing_manifests_folder_makes_the_references_unknown(shelf):
    shelf.blob(WEIGHTS)
    shelf.store.manifests.rmdir()
    contents = shelf.read()
    assert [entry.path for entry in contents.broken] == [shelf.store.manifests]
    assert contents.orphans is None


def test_link_is_followed_and_a_loop_ends(shelf, tmp_path):
    shelf.model(f"{HUB}/x/latest", WEIGHTS)
    elsewhere = tmp_path / "elsewhere"
    (shelf.store.manifests / "registry.ollama.ai").rename(elsewhere)
    (shelf.store.manifests / "registry.ollama.ai").symlink_to(elsewhere)
    (elsewhere / "library" / "up").symlink_to(elsewhere)
    assert [entry.name for entry in shelf.read().manifests] == [names.parse("x")]


def test_link_to_nothing_is_a_broken_manifest(shelf, tmp_path):
    path = shelf.manifest(f"{HUB}/x/latest", b"")
    path.unlink()
    path.symlink_to(tmp_path / "not-mounted")
    assert shelf.read().orphans is None


# --- the digest that a server lists ---------------------------------------------------------------


def test_bytes_have_the_listed_digest_with_or_without_the_last_newline(shelf):
    for raw in (b"x" * 512, b"x" * 512 + b"\n"):
        entry = store.StoredManifest(Path("x"), None, raw)
        assert entry.as_listed(hashlib.sha256(raw).hexdigest()) == raw
    # What a server hashes whose buffer is full before the newline.
    assert entry.as_listed(hashlib.sha256(raw[:-1]).hexdigest()) == raw[:-1]
    assert entry.as_listed("0" * 64) is None


# --- blobs ---------------------------------------------------------------------------------------


def test_files_of_the_store_are_told_apart(shelf):
    shelf.blob(WEIGHTS, b"12345")
    partial = "sha256-" + "b" * 64 + "-partial"
    for name in (partial, f"{partial}-0", f"{partial}-15", "sha256-1234567890"):
        (shelf.store.blobs / name).write_bytes(b"x")
    for name in (".DS_Store", "sha256-" + "C" * 64, f"{partial}-x", "sha256-abc", "note-partial"):
        (shelf.store.blobs / name).write_bytes(b"x")
    (shelf.store.blobs / ("sha256-" + "d" * 64)).mkdir()
    (shelf.store.blobs / ("sha256-" + "e" * 64)).symlink_to(shelf.store.blob(WEIGHTS))
    contents = shelf.read()
    assert list(contents.blobs) == [WEIGHTS]
    assert contents.blobs[WEIGHTS].size == 5
    assert {
        digest: [file.name for file in files] for digest, files in contents.partials.items()
    } == {OTHER: [partial, f"{partial}-0", f"{partial}-15"]}
    assert [file.name for file in contents.strays] == ["sha256-1234567890"]


def test_blobs_are_counted_by_who_needs_them(shelf):
    third, lost = "sha256:" + "c" * 64, "sha256:" + "d" * 64
    for digest in (WEIGHTS, OTHER, third):
        shelf.blob(digest, digest.encode())
    shelf.model(f"{HUB}/x/latest", WEIGHTS, lost)
    shelf.model(f"{HUB}/y/latest", WEIGHTS, OTHER)
    contents = shelf.read()
    needing = {digest: [e.name.model for e in es] for digest, es in contents.references.items()}
    assert needing == {WEIGHTS: ["x", "y"], lost: ["x"], OTHER: ["y"]}
    assert list(contents.orphans) == [third]
    assert contents.files_of(contents.find(names.parse("x"))) == [contents.blobs[WEIGHTS]]
    x, y = names.parse("x").key, names.parse("y").key
    assert list(contents.only_in([x])) == []
    assert list(contents.only_in([y])) == [OTHER]
    assert list(contents.only_in([x, y])) == [WEIGHTS, OTHER]


def test_blob_that_an_unnamed_manifest_needs_belongs_to_no_model(shelf):
    shelf.blob(WEIGHTS)
    shelf.model(f"{HUB}/x/latest", WEIGHTS)
    shelf.model(f"{HUB}/x/latest~", WEIGHTS)
    assert shelf.read().only_in([names.parse("x").key]) == {}


def test_file_with_another_name_frees_nothing(shelf, tmp_path):
    shelf.blob(WEIGHTS, b"1" * 5000)
    (tmp_path / "x.gguf").hardlink_to(shelf.store.blob(WEIGHTS))
    shelf.blob(OTHER, b"2" * 3000)
    blobs = shelf.read().blobs
    assert (blobs[WEIGHTS].linked, blobs[OTHER].linked) == (True, False)
    assert store.freed_by(blobs.values()) == 3000


def test_file_is_freed_once_with_its_last_name(shelf):
    shelf.blob(WEIGHTS, b"1" * 5000)
    shelf.store.blob(OTHER).hardlink_to(shelf.store.blob(WEIGHTS))
    blobs = shelf.read().blobs
    assert store.freed_by([blobs[WEIGHTS]]) == 0
    assert store.freed_by(blobs.values()) == 5000


def test_holes_of_a_partial_download_free_nothing(shelf):
    partial = shelf.store.blobs / f"{shelf.blob(WEIGHTS).name}-partial"
    with partial.open("wb") as file:
        file.truncate(100_000_000)
        file.write(b"1" * 4096)
    (seen,) = shelf.read().partials[WEIGHTS]
    assert (seen.size, seen.on_disk < 100_000) == (100_000_000, True)


def test_new_link_to_an_old_file_is_young(shelf):
    path = shelf.blob(WEIGHTS)
    os.utime(path, (0, 0))
    seen = shelf.read().blobs[WEIGHTS]
    assert seen.modified == 0
    assert seen.touched == path.stat().st_ctime


def test_files_that_come_and_go_meanwhile_are_no_trouble(shelf, tmp_path):
    shelf.model(f"{HUB}/stays/latest", WEIGHTS)
    done = threading.Event()

    def churn():
        while not done.is_set():
            path = shelf.manifest(f"{HUB}/goes/latest", (tmp_path / "whole").read_bytes())
            shelf.blob(OTHER).unlink()
            path.unlink()
            path.parent.rmdir()

    (tmp_path / "whole").write_bytes(shelf.model(f"{HUB}/stays/latest", WEIGHTS))
    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(300):
            assert shelf.read().find(names.parse("stays"))
    finally:
        done.set()
        thread.join()


# --- removing ------------------------------------------------------------------------------------


def test_files_are_removed_that_are_as_they_were(shelf):
    shelf.blob(WEIGHTS)
    assert shelf.store.remove(shelf.read().blobs.values()) is True
    assert shelf.read().blobs == {}


def test_file_that_changed_since_is_left_alone_with_its_group(shelf):
    shelf.blob(WEIGHTS)
    shelf.blob(OTHER)
    seen = shelf.read().blobs
    os.utime(shelf.store.blob(OTHER), (1, 1))
    assert shelf.store.remove(seen.values()) is False
    assert list(shelf.read().blobs) == [WEIGHTS, OTHER]


def test_file_that_is_gone_already_is_not_removed_twice(shelf):
    shelf.blob(WEIGHTS)
    seen = shelf.read().blobs
    shelf.store.blob(WEIGHTS).unlink()
    assert shelf.store.remove(seen.values()) is False


def test_nothing_behind_a_link_is_removed(shelf, tmp_path):
    shelf.blob(WEIGHTS)
    seen = shelf.read().blobs
    shelf.store.blobs.rename(tmp_path / "elsewhere")
    shelf.store.blobs.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="blobs"):
        shelf.store.remove(seen.values())
    assert list(shelf.read().blobs) == [WEIGHTS]

# SPDX-License-Identifier: GPL-3.0-or-later
"""The seeded models: the same bytes every time, and one of them can embed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import gguf
import yaml

from lab.names import ROOT
from lab.origin.seed import CHAT, EMBED, seed
from lab.origin.seed_hub import FILE, GATED, REPOSITORIES


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_twice_is_the_same(tmp_path: Path, tiny_gguf: Path) -> None:
    first = seed(tmp_path / "one", tiny_gguf)
    assert seed(tmp_path / "two", tiny_gguf) == first
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert seed(tmp_path / "one", tiny_gguf) == first
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_blobs_are_what_the_manifests_say(root: Path, tiny_gguf: Path) -> None:
    digests = seed(root, tiny_gguf)
    for name, digest in digests.items():
        raw = (root / "registry/manifests" / name.replace(":", "/")).read_bytes()
        assert hashlib.sha256(raw).hexdigest() == digest
        manifest = json.loads(raw)
        for layer in [*manifest["layers"], manifest["config"]]:
            blob = (root / "registry/blobs" / layer["digest"].replace(":", "-")).read_bytes()
            assert len(blob) == layer["size"]
            assert "sha256:" + hashlib.sha256(blob).hexdigest() == layer["digest"]
    kinds = {layer["mediaType"].rpartition(".")[2] for layer in _manifest(root, CHAT)["layers"]}
    assert kinds == {"model", "template", "system", "license", "params"}


def _manifest(root: Path, name: str) -> dict[str, list[dict[str, str]]]:
    path = root / "registry/manifests" / name.replace(":", "/")
    return dict(json.loads(path.read_bytes()))


def test_the_embedding_variant_differs_in_one_key(root: Path, tiny_gguf: Path) -> None:
    digest = _manifest(root, EMBED)["layers"][0]["digest"]
    pooled = gguf.GGUFReader(root / "registry/blobs" / digest.replace(":", "-"))
    plain = gguf.GGUFReader(tiny_gguf)
    assert set(pooled.fields) - set(plain.fields) == {"llama.pooling_type"}
    assert pooled.fields["llama.pooling_type"].contents() == 1
    assert [tensor.name for tensor in pooled.tensors] == [tensor.name for tensor in plain.tensors]
    assert pooled.tensors[0].data.tobytes() == plain.tensors[0].data.tobytes()


def test_what_the_catalogue_wants_of_this_model_is_there() -> None:
    entries = [yaml.safe_load(path.read_text()) for path in (ROOT / "models").glob("*/model.yml")]
    sources = [entry["source"].get("gguf") or {} for entry in entries]
    wanted = {source["repo"] for source in sources if source.get("file") == FILE}
    assert wanted <= {*REPOSITORIES} - {GATED}


def test_the_hub_has_the_registrys_own_bytes(root: Path, tiny_gguf: Path) -> None:
    for _ in range(2):
        blob = (
            root / "registry/blobs" / _manifest(root, CHAT)["layers"][0]["digest"].replace(":", "-")
        )
        for repository in REPOSITORIES:
            assert (root / "hf" / repository / "main" / FILE).samefile(blob)
        assert blob.stat().st_nlink == 1 + len(REPOSITORIES)
        seed(root, tiny_gguf)
    assert [path.parent for path in root.rglob("gated.json")] == [root / "hf" / GATED]
    assert not list(root.rglob("*.new"))

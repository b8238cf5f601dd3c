# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m lab.origin.seed`: two models in the registry and one as files, always the same."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
import typing as t
from pathlib import Path

from lab.ollama import gguf_header, gofmt
from lab.origin.seed_hub import seed_hub

MEDIA_PREFIX = "application/vnd.ollama.image."
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
POOLING_MEAN = 1

CHAT = "library/smollm2:135m"
EMBED = "library/smollm2-embed:135m"
TEMPLATE = """\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
LICENSE = (
    "SmolLM2-135M-Instruct, Hugging Face, licensed under the Apache License, Version 2.0.\n"
    "https://www.apache.org/licenses/LICENSE-2.0\n"
)
PARAMETERS = {"stop": ["<|im_start|>", "<|im_end|>"]}


def seed(root: Path, gguf: Path) -> dict[str, str]:
    """Write all below `root`; returns name and manifest digest of the models in the registry."""
    registry = root / "registry"
    (registry / "blobs").mkdir(parents=True, exist_ok=True)
    architecture = gguf_header.read_header(gguf).architecture
    texts = {
        "template": TEMPLATE,
        "license": LICENSE,
        "params": json.dumps(PARAMETERS, separators=(",", ":")),
    }
    plain = _add_chunks(registry, _chunks(gguf))
    pooled = _add_chunks(
        registry,
        gguf_header.with_extra_uint32(gguf, f"{architecture}.pooling_type", POOLING_MEAN),
    )
    seed_hub(root / "hf", _blob(registry, plain))
    return {
        CHAT: _add_model(registry, CHAT, plain, {**texts, "system": SYSTEM}),
        EMBED: _add_model(registry, EMBED, pooled, {"license": LICENSE}),
    }


def _add_model(registry: Path, name: str, weights: str, texts: dict[str, str]) -> str:
    header = gguf_header.read_header(_blob(registry, weights))
    layers = [_entry(registry, "model", weights)]
    for kind, text in texts.items():
        layers.append(_entry(registry, kind, _add_chunks(registry, [text.encode()])))
    config = {
        "model_format": "gguf",
        "model_family": header.architecture,
        "model_families": [header.architecture],
        "model_type": gofmt.human_number(header.parameter_count),
        "file_type": header.file_type,
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
    config_digest = _add_chunks(registry, [json.dumps(config, separators=(",", ":")).encode()])
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {**_entry(registry, "", config_digest), "mediaType": CONFIG_TYPE},
        "layers": layers,
    }
    raw = json.dumps(manifest, separators=(",", ":")).encode()
    repository, _, tag = name.partition(":")
    path = registry / "manifests" / repository / tag
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written last and renamed: an interrupted run never leaves a manifest without its blobs.
    temporary = registry / f".manifest-{hashlib.sha256(raw).hexdigest()[:12]}"
    temporary.write_bytes(raw)
    temporary.replace(path)
    return hashlib.sha256(raw).hexdigest()


def _entry(registry: Path, kind: str, digest: str) -> dict[str, t.Any]:
    return {
        "mediaType": MEDIA_PREFIX + kind,
        "digest": digest,
        "size": _blob(registry, digest).stat().st_size,
    }


def _blob(registry: Path, digest: str) -> Path:
    return registry / "blobs" / digest.replace(":", "-")


def _chunks(path: Path) -> t.Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _add_chunks(registry: Path, chunks: t.Iterable[bytes]) -> str:
    checksum = hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=registry) as directory:
        temporary = Path(directory) / "blob"
        with temporary.open("wb") as file:
            for chunk in chunks:
                checksum.update(chunk)
                file.write(chunk)
        digest = f"sha256:{checksum.hexdigest()}"
        temporary.chmod(0o644)
        shutil.move(temporary, _blob(registry, digest))
    return digest


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.origin.seed", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the lab's data directory")
    parser.add_argument("--gguf", type=Path, required=True, help="SmolLM2-135M-Instruct.Q4_1.gguf")
    args = parser.parse_args()
    for name, digest in seed(args.root, args.gguf).items():
        print(f"{name} {digest}")


if __name__ == "__main__":
    main()

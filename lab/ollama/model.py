# SPDX-License-Identifier: GPL-3.0-or-later
"""One installed model with its layers read: what show, create and inference start from."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from lab.ollama import gguf_header
from lab.ollama.errors import ApiError
from lab.ollama.store import Installed, Store

DEFAULT_TEMPLATE = "{{ .Prompt }}"
Message = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Model:
    """The parts of a model; `header` is None when there are no GGUF weights."""

    installed: Installed
    config: dict[str, t.Any]
    weights: Path | None
    parent: str
    header: gguf_header.Header | None
    adapters: tuple[Path, ...]
    projectors: tuple[Path, ...]
    template: str | None
    system: str
    options: dict[str, t.Any]
    messages: tuple[Message, ...]
    licenses: tuple[str, ...]

    @property
    def digest(self) -> str:
        return self.installed.manifest.digest

    @property
    def chat_template(self) -> str:
        """The Jinja template inside the GGUF, or an empty string."""
        return str(self.header.kv.get("tokenizer.chat_template", "")) if self.header else ""

    @property
    def uses_jinja(self) -> bool:
        """True if the GGUF's own template renders chats: only where there is no TEMPLATE."""
        return self.template is None and bool(self.chat_template)

    @property
    def capabilities(self) -> list[str]:
        """What the model can do, by its metadata and its template."""
        pooled = self.header is not None and self.header.of_architecture("pooling_type") is not None
        found = ["tools"] if self.uses_jinja and "tools" in self.chat_template else []
        found.append("embedding" if pooled else "completion")
        if self.projectors:
            found.append("vision")
        template = self.template or ""
        if ".Tools" in template:
            found.append("tools")
        if ".Suffix" in template:
            found.append("insert")
        if ".Thinking" in template:
            found.append("thinking")
        return found


def load(store: Store, installed: Installed) -> Model:
    """Read a model's layers; FileNotFoundError if a blob is missing."""
    manifest = installed.manifest

    def paths(kind: str) -> list[Path]:
        return [store.blob_path(layer.digest) for layer in manifest.of_kind(kind)]

    def texts(kind: str) -> list[str]:
        return [path.read_text(encoding="utf-8", errors="replace") for path in paths(kind)]

    def documents(kind: str) -> list[t.Any]:
        return [json.loads(text) for text in texts(kind)]

    config = json.loads(store.blob_path(manifest.config.digest).read_bytes())
    weights = paths("model")
    templates = texts("template") + texts("prompt")
    return Model(
        installed=installed,
        config=config,
        weights=weights[-1] if weights else None,
        parent=manifest.of_kind("model")[-1].origin if weights else "",
        header=_header(weights[-1]) if weights else None,
        adapters=tuple(paths("adapter")),
        projectors=tuple(paths("projector")),
        template=templates[-1] if templates else None,
        system=(texts("system") or [""])[-1],
        options=(documents("params") or [{}])[-1] or {},
        messages=tuple((documents("messages") or [()])[-1] or ()),
        licenses=tuple(texts("license")),
    )


def _header(path: Path) -> gguf_header.Header | None:
    try:
        return gguf_header.read_header(path)
    except gguf_header.NotGGUF as error:
        raise ApiError(str(error)) from None


def details(config: dict[str, t.Any], parent: str = "") -> dict[str, t.Any]:
    """Return the `details` object that tags, show and ps share."""
    return {
        "parent_model": parent,
        "format": config.get("model_format", ""),
        "family": config.get("model_family", ""),
        "families": config.get("model_families"),
        "parameter_size": config.get("model_type", ""),
        "quantization_level": config.get("file_type", ""),
    }

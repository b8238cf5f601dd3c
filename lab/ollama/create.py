# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/create`: a manifest and its small layers, over weights that are already in the store."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import typing as t

from lab.ollama import detection, gguf_header, gofmt, gojson, gotemplate, names
from lab.ollama.answers import Event, Events
from lab.ollama.errors import ApiError
from lab.ollama.gguf_header import Header, NotGGUF
from lab.ollama.names import Name
from lab.ollama.pull import Puller
from lab.ollama.store import (
    CONFIG_TYPE,
    MEDIA_PREFIX,
    Installed,
    Layer,
    Store,
    render_manifest,
)

QUANTIZATIONS = ("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0")
SOURCES_TO_QUANTIZE = ("F32", "F16", "BF16")
INHERITED = ("renderer", "parser", "requires")
_WITH_HEADER = ("model", "projector", "adapter")


@dataclasses.dataclass
class Draft:
    """A model being put together."""

    layers: list[Layer] = dataclasses.field(default_factory=list)
    headers: list[Header] = dataclasses.field(default_factory=list)
    inherited: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    fresh: set[str] = dataclasses.field(default_factory=set)
    detected: tuple[Layer, str] | None = None

    def status(self, layer: Layer) -> str:
        """What is told about a layer of the finished model."""
        if self.detected and layer is self.detected[0]:
            return f"using autodetected template {self.detected[1]}"
        verb = "creating new" if layer.digest in self.fresh else "using existing"
        return f"{verb} layer {layer.digest}"

    def remove(self, kind: str) -> None:
        self.layers = [layer for layer in self.layers if layer.kind != kind]


@dataclasses.dataclass(frozen=True)
class Creator:
    """Creates models in one store."""

    store: Store
    puller: Puller
    noprune: bool

    async def create(self, name: Name, body: dict[str, t.Any]) -> Events:
        """Yield the progress of a create; the old model stays until the last moment."""
        draft = Draft()
        if body.get("from"):
            base_name = names.parse(body["from"])
            if not base_name.valid:
                raise ApiError("invalid model name", 400)
            base_name = self.store.existing(base_name)
            base = self.store.find(base_name)
            if base is None:
                async with contextlib.aclosing(
                    self.puller.pull(base_name, insecure=False)
                ) as events:
                    async for event in events:
                        if event != {"status": "success"}:
                            yield event
                base = t.cast(Installed, self.store.find(base_name))
            self._take_base(draft, base)
        elif "files" in body:
            _check_kind(self.store, body["files"])
            yield {"status": "parsing GGUF"}
            self._take_files(draft, body["files"], adapter=False)
        else:
            raise ApiError("neither 'from' or 'files' was specified", 400)
        _check_quantization(draft, body.get("quantize") or body.get("quantization"))
        if body.get("adapters"):
            if len(body["adapters"]) > 1:
                raise ApiError("only one adapter is currently supported")
            yield {"status": "parsing GGUF"}
            self._take_files(draft, body["adapters"], adapter=True)
        self._take_texts(draft, body)
        for event in self._finish(name, draft, body):
            yield event

    def _take_base(self, draft: Draft, base: Installed) -> None:
        origin = base.name.short
        for layer in base.manifest.layers:
            path = self.store.blob_path(layer.digest)
            size = path.stat().st_size
            os.utime(path)
            self._use(draft, Layer(layer.media_type, layer.digest, size, origin), fresh=False)
            if layer.kind in _WITH_HEADER:
                draft.headers.append(_read(path))
        config = json.loads(self.store.blob_path(base.manifest.config.digest).read_bytes())
        draft.inherited = {key: config[key] for key in INHERITED if config.get(key)}

    def _take_files(self, draft: Draft, files: dict[str, str], *, adapter: bool) -> None:
        for digest in files.values():
            path = self.store.blob_path_checked(digest)
            if not path.exists():
                raise ApiError(f"open {path}: no such file or directory")
            header = _read(path)
            kind = "adapter" if adapter else _kind_of(header)
            os.utime(path)
            layer = Layer(MEDIA_PREFIX + kind, digest, path.stat().st_size)
            self._use(draft, layer, fresh=False)
            draft.headers.append(header)
            if not adapter:
                self._detect(draft, header)

    def _detect(self, draft: Draft, header: Header) -> None:
        known = detection.detect(str(header.kv.get("tokenizer.chat_template", "")))
        if known is not None:
            self._add(draft, "template", known.template)
            draft.detected = draft.layers[-1], known.name
            self._add(draft, "params", gojson.dumps_sorted(known.parameters))

    def _take_texts(self, draft: Draft, body: dict[str, t.Any]) -> None:
        if body.get("template"):
            gotemplate.check(body["template"])
        for kind in ("template", "system"):
            if body.get(kind):
                draft.remove(kind)
                self._add(draft, kind, body[kind])
        for text in _licenses(body.get("license")):
            self._add(draft, "license", text)
        parameters = {**self._inherited_parameters(draft), **(body.get("parameters") or {})}
        if parameters:
            draft.remove("params")
            self._add(draft, "params", gojson.dumps_sorted(parameters))
        if body.get("messages"):
            draft.remove("messages")
            messages = [_message(message) for message in body["messages"]]
            self._add(draft, "messages", gojson.dumps(messages) + "\n")

    def _inherited_parameters(self, draft: Draft) -> dict[str, t.Any]:
        merged: dict[str, t.Any] = {}
        for layer in draft.layers:
            if layer.kind == "params":
                data = json.loads(self.store.blob_path(layer.digest).read_bytes()) or {}
                merged = {**data, **merged}
        return merged

    def _finish(self, name: Name, draft: Draft, body: dict[str, t.Any]) -> t.Iterator[Event]:
        config_text = gojson.dumps(_config(draft, body)) + "\n"
        config, _fresh = self.store.add_blob(config_text.encode(), CONFIG_TYPE)
        for layer in draft.layers:
            yield {"status": draft.status(layer)}
        yield {"status": "writing manifest"}
        before = self._previous(name)
        self.store.write_manifest(name, render_manifest(config, draft.layers))
        if not self.noprune:
            self.store.remove_unused(before)
        yield {"status": "success"}

    def _previous(self, name: Name) -> tuple[Layer, ...]:
        with contextlib.suppress(ApiError):
            installed = self.store.find(name)
            if installed is not None:
                return installed.manifest.blobs
        return ()

    def _add(self, draft: Draft, kind: str, text: str) -> None:
        layer, fresh = self.store.add_blob(text.encode(), MEDIA_PREFIX + kind)
        self._use(draft, layer, fresh=fresh)

    def _use(self, draft: Draft, layer: Layer, *, fresh: bool) -> None:
        draft.layers.append(layer)
        if fresh:
            draft.fresh.add(layer.digest)


def check(body: dict[str, t.Any]) -> None:
    """Raise the 400 for what is wrong with the file names, before anything starts."""
    for files in (body.get("files"), body.get("adapters")):
        _check_files(files)


def _read(path: t.Any) -> Header:
    try:
        return gguf_header.read_header(path)
    except NotGGUF:
        raise ApiError("supplied file was not in GGUF format", 400) from None


def _kind_of(header: Header) -> str:
    general = header.kv.get("general.type", "")
    if general == "adapter":
        return "adapter"
    if general in ("projector", "mmproj") or header.kv.get("clip.has_vision_encoder"):
        return "projector"
    return "model"


def _check_files(files: dict[str, t.Any] | None) -> None:
    for path, digest in (files or {}).items():
        parts = path.split("/")
        if path != "." and any(part in ("", ".", "..") for part in parts):
            raise ApiError("file path must be relative", 400)
        if not digest:
            raise ApiError("invalid digest format", 400)


def _check_kind(store: Store, files: dict[str, str]) -> None:
    """Find out what the first file is, by its name or else by its first bytes."""
    if not files:
        raise ApiError("unknown type", 400)
    path, digest = next(iter(files.items()))
    if path.endswith(".gguf"):
        return
    if path.endswith(".safetensors"):
        raise ApiError("this stand-in does not convert safetensors", 400)
    with contextlib.suppress(OSError, ApiError), store.blob_path(digest).open("rb") as file:
        if file.read(4) == gguf_header.MAGIC:
            return
    raise ApiError("unknown type", 400)


def _check_quantization(draft: Draft, wanted: str | None) -> None:
    if not wanted:
        return
    if wanted.upper() not in QUANTIZATIONS:
        supported = ", ".join(QUANTIZATIONS)
        raise ApiError(f"unsupported quantization type {wanted.upper()} - "
                       f"supported types are {supported}")  # fmt: skip
    if any(header.file_type not in SOURCES_TO_QUANTIZE for header in draft.headers):
        raise ApiError("quantization is only supported for F16, BF16 and F32 models")
    raise ApiError("this stand-in does not quantize")


def _config(draft: Draft, body: dict[str, t.Any]) -> dict[str, t.Any]:
    families = list(dict.fromkeys(header.architecture for header in draft.headers))
    first = draft.headers[0] if draft.headers else None
    config: dict[str, t.Any] = {
        "model_format": "gguf" if first else "",
        "model_family": first.architecture if first else "",
        "model_families": families or None,
        "model_type": gofmt.human_number(first.parameter_count) if first else "",
        "file_type": first.file_type if first else "",
    }
    for key in INHERITED:
        chosen = body.get(key) or draft.inherited.get(key)
        if chosen:
            config[key] = chosen
    return {**config, "architecture": "amd64", "os": "linux"}


def _licenses(given: t.Any) -> list[str]:
    if isinstance(given, str):
        return [given] if given else []
    if isinstance(given, list) and all(isinstance(text, str) for text in given):
        return given
    if given is None:
        return []
    raise ApiError("json: cannot unmarshal number into Go value of type []string")


def _message(message: dict[str, t.Any]) -> dict[str, str]:
    return {
        "role": str(message.get("role", "")).lower(),
        "content": str(message.get("content", "")),
    }

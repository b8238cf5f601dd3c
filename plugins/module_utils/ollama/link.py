# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A GGUF file as a model of Ollama's store without a second copy: judge, make, apply. Private.

The file gets a second name in the store, and the model's config and manifest are written here,
the same bytes for every version of Ollama.
"""

from __future__ import annotations

import dataclasses
import decimal
import errno
import json
import os
import re
import shutil
import stat
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from .errors import OllamaError
from .manifest import Layer, digest_of

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.edgellm.host.plugins.module_utils.gguf import Header

    from .names import Name
    from .store import Store

_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_LAYER_TYPE = "application/vnd.ollama.image."

# What a Modelfile can say that is kept as it is said.
_KEPT = frozenset(
    {"template", "system", "license", "parameters", "messages", "renderer", "parser", "requires"}
)
# Ollama gives these a renderer, a parser or stop words by itself.
_RENDERED = frozenset({"gemma4", "laguna", "nemotron_h", "nemotron_h_moe", "nemotron_h_omni"})

_NO_LINK = {
    errno.EXDEV: "the file and the store lie on different mounts",
    errno.EPERM: "the file system or the kernel forbids this link",
    errno.EMLINK: "the file has as many links as its file system allows",
    errno.EOPNOTSUPP: "the file system knows no links",
}
# The kernel cannot copy by itself here, so the bytes go through this process.
_NO_FAST_COPY = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
_CHUNK = 1 << 20
# A server that starts may take away what no manifest needs yet.
_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class Text:
    """A small blob."""

    layer: Layer
    content: bytes


@dataclasses.dataclass(frozen=True)
class Linked:
    """A model as it will be in the store, whatever its name."""

    weights: Layer
    texts: tuple[Text, ...]
    manifest: bytes

    @property
    def digest(self) -> str:
        """The digest that the server will list."""
        return digest_of(self.manifest)

    @property
    def size(self) -> int:
        """The size that the server will list."""
        return self.weights.size + sum(text.layer.size for text in self.texts)


@dataclasses.dataclass(frozen=True)
class Placed:
    """How the weights came into the store; why tells what was in the way of a link."""

    how: t.Literal["linked", "copied", "kept"]
    why: str = ""


# --- judge ---------------------------------------------------------------------------------------


def judge(fields: Mapping[str, t.Any], header: Header) -> str | None:
    """None if a link keeps all that Ollama would make of the file, else a sentence that says why
    the file has to be uploaded.
    """
    return (
        _needs_server(fields)
        or _is_no_model(header)
        or _would_be_rendered(fields, header)
        or _would_be_detected(fields, header)
    )


def _needs_server(fields: Mapping[str, t.Any]) -> str | None:
    others = sorted(set(fields) - _KEPT)
    return f"Only Ollama itself can carry out {', '.join(others)}." if others else None


def _is_no_model(header: Header) -> str | None:
    if header.type not in ("", "model") or header.architecture == "clip":
        return f"The GGUF file is no model of its own, but of the type {header.type or 'clip'}."
    if not header.block_count and header.of_architecture("vision.block_count"):
        return "The GGUF file is no model of its own, but a projector."
    if header.split_count > 1:
        return f"The GGUF file is one of {header.split_count} parts, which Ollama has to join."
    if header.text(f"{header.architecture}.source_quantization"):
        return "The GGUF file was made of FP8 weights, and Ollama quantizes such a file on upload."
    if not header.tensors:
        return "The GGUF file has no weights."
    return None


def _would_be_rendered(fields: Mapping[str, t.Any], header: Header) -> str | None:
    if header.architecture in _RENDERED and not (fields.get("renderer") and fields.get("parser")):
        return (
            "The Modelfile has no RENDERER and PARSER, which Ollama chooses by the architecture "
            f"{header.architecture} of an uploaded file."
        )
    return None


def _would_be_detected(fields: Mapping[str, t.Any], header: Header) -> str | None:
    if not header.chat_template or header.pooling_type is not None:
        return None
    # Newer servers run the template of the file itself, but only where they recognise none.
    lacks = [] if fields.get("template") else ["TEMPLATE"]
    if "stop" not in fields.get("parameters", {}):
        lacks.append("PARAMETER stop")
    if not lacks:
        return None
    return (
        f"The Modelfile has no {' and no '.join(lacks)}, which Ollama looks up by the chat "
        "template of an uploaded file."
    )


# --- make ----------------------------------------------------------------------------------------


def make(fields: Mapping[str, t.Any], header: Header, sha256: str, size: int) -> Linked:
    """The model that Ollama would make of this file and these fields of /api/create. Pure."""
    weights = Layer(f"sha256:{sha256}", size, f"{_LAYER_TYPE}model")
    layers = tuple(_texts(fields))
    config = _text(_CONFIG_TYPE, _json_line(_config(fields, header)))
    document = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": _entry(config.layer),
        "layers": [_entry(layer) for layer in (weights, *(text.layer for text in layers))],
    }
    # Without a newline at its end: some lengths of the text make a server leave that out of the
    # digest, and then it would list another one.
    return Linked(weights, (*layers, config), _json(document).encode())


def _texts(fields: Mapping[str, t.Any]) -> Iterable[Text]:
    """The small layers, in the order of the server's."""
    for name in ("template", "system"):
        if fields.get(name):
            yield _text(f"{_LAYER_TYPE}{name}", fields[name])
    licenses = fields.get("license") or []
    for text in [licenses] if isinstance(licenses, str) else licenses:
        yield _text(f"{_LAYER_TYPE}license", text)
    if fields.get("parameters"):
        parameters = {name: _decoded(value) for name, value in fields["parameters"].items()}
        yield _text(f"{_LAYER_TYPE}params", _json_line(dict(sorted(parameters.items()))))
    if fields.get("messages"):
        messages = [
            {"role": message["role"].lower(), "content": message.get("content") or ""}
            for message in fields["messages"]
        ]
        yield _text(f"{_LAYER_TYPE}messages", _json_line(messages))


def _text(media_type: str, text: str) -> Text:
    content = text.encode()
    return Text(Layer(f"sha256:{digest_of(content)}", len(content), media_type), content)


def _entry(layer: Layer) -> dict[str, t.Any]:
    return {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}


def _config(fields: Mapping[str, t.Any], header: Header) -> dict[str, t.Any]:
    # A server takes the number 0 for none.
    file_type = header.file_type if header.number("general.file_type") else "unknown"
    return {
        "model_format": "gguf",
        "model_family": header.architecture,
        "model_families": [header.architecture],
        "model_type": _human(header.parameter_count),
        "file_type": file_type,
        **{name: fields[name] for name in ("renderer", "parser", "requires") if fields.get(name)},
        "architecture": "amd64",
        "os": "linux",
    }


def _human(count: int) -> str:
    """A number of parameters as the server tells it: 134.52M."""
    for unit, letter, digits in ((10**9, "B", 1), (10**6, "M", 2)):
        if count >= unit:
            return f"{count / unit:.{0 if count % unit == 0 else digits}f}{letter}"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def _decoded(value: t.Any) -> t.Any:
    # To a server every number of a request is a floating-point one.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number else value


def _json_line(value: t.Any) -> str:
    return _json(value) + "\n"


def _json(value: t.Any) -> str:
    """JSON exactly as Go writes it."""
    if isinstance(value, dict):
        pairs = (f"{_json(name)}:{_json(item)}" for name, item in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, float):
        return _json_float(value)
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _json_float(value: float) -> str:
    if value and not 1e-6 <= abs(value) < 1e21:
        return repr(value).replace("e-0", "e-")
    text = f"{decimal.Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- apply ---------------------------------------------------------------------------------------


def present(store: Store, name: Name, linked: Linked) -> bool:
    """Whether exactly this model has the name, with everything it needs."""
    try:
        manifest = store.manifest(name).read_bytes()
    except OSError:
        return False
    return manifest == linked.manifest and _is_complete(store, linked)


def apply(store: Store, name: Name, linked: Linked, file: str | Path) -> Placed:
    """Put the model into the store under the name, spelled as the server spells it.

    Broken off anywhere, the name means what it meant before, and another try completes it. What
    the name meant before keeps its blobs.
    """
    try:
        return _apply(store, name, linked, Path(file))
    except OSError as error:
        where = f" ({error.filename})" if isinstance(error.filename, str) else ""
        raise OllamaError(
            f"{name.short} cannot be put into the store {store.root}: {error.strerror}{where}."
        ) from error


def _apply(store: Store, name: Name, linked: Linked, file: Path) -> Placed:
    source = _checked(file, linked.weights.size)
    owner = _Owner.of(store)
    owner.make_folder(store.blobs)
    placed = Placed("kept")
    for _attempt in range(_ATTEMPTS):
        try:
            for text in linked.texts:
                _write(store, store.blob(text.layer.digest), text.content, owner)
            # The weights have the age of their file, so they come last: see _ATTEMPTS.
            now = _place(store, linked.weights, source, owner)
            placed = placed if now.how == "kept" else now
            if _is_complete(store, linked):
                owner.make_folder(store.manifest(name).parent)
                _write(store, store.manifest(name), linked.manifest, owner)
        except FileNotFoundError:
            continue
        if present(store, name, linked):
            return placed
    raise OllamaError(
        f"{name.short} was put into the store {store.root}, but something else takes its files "
        "away at once. Does somebody else change the models of this server?"
    )


def _checked(file: Path, size: int) -> Path:
    """The file itself, be it named by a symbolic link."""
    try:
        source = file.resolve(strict=True)
        status = source.stat()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        raise Refused(
            f"{file} is not the file of {size} bytes that was verified: it has {status.st_size}. "
            "Run it again."
        )
    return source


def _is_complete(store: Store, linked: Linked) -> bool:
    layers = (linked.weights, *(text.layer for text in linked.texts))
    return all(_size(store.blob(layer.digest)) == layer.size for layer in layers)


def _size(path: Path) -> int | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _staged(store: Store, digest: str) -> Path:
    """Where a file waits for its name. Servers name such files in this way too, and whoever tidies
    up a store knows them."""
    return store.blobs / f"sha256-{int(digest.removeprefix('sha256:')[:15], 16)}"


@dataclasses.dataclass(frozen=True)
class _Owner:
    """To whom the store belongs, and so everything that is made in it."""

    uid: int
    gid: int

    @classmethod
    def of(cls, store: Store) -> _Owner:
        if not store.root.is_dir():
            raise Refused(f"{store.root} is no directory, so it is no store of an Ollama server.")
        status = (store.blobs if store.blobs.is_dir() else store.root).stat()
        return cls(status.st_uid, status.st_gid)

    def has_use_for(self, source: Path) -> bool:
        """Whether a server of this user can treat the file as its own: read it, and touch it."""
        return self.uid in (0, source.stat().st_uid)

    def make_folder(self, path: Path) -> None:
        if path.is_dir():
            return
        self.make_folder(path.parent)
        path.mkdir(exist_ok=True)
        self.take(path, 0o755)

    def take(self, path: Path, mode: int) -> None:
        """Give a new file or folder to the owner, with this mode."""
        status = path.stat()
        if (status.st_uid, status.st_gid) != (self.uid, self.gid):
            os.chown(path, self.uid, self.gid)
        path.chmod(mode)


def _write(store: Store, target: Path, content: bytes, owner: _Owner) -> None:
    """The content under its name, all of it or nothing; new even if it was there.

    So it is young, and a server that starts leaves it alone for an hour.
    """
    staged = _staged(store, digest_of(content))
    staged.unlink(missing_ok=True)
    try:
        with staged.open("xb") as file:
            file.write(content)
            _finish(file, owner)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)
    _sync(target.parent)


def _place(store: Store, weights: Layer, source: Path, owner: _Owner) -> Placed:
    """The weights in the store; a blob that is there and has the right size stays what it is."""
    target = store.blob(weights.digest)
    if _size(target) == weights.size:
        return Placed("kept")
    staged = _staged(store, weights.digest)
    staged.unlink(missing_ok=True)
    try:
        obstacle = _link(source, staged, owner)
        if obstacle:
            _copy(source, staged, weights.size, owner)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)
    _sync(store.blobs)
    return Placed("copied", obstacle) if obstacle else Placed("linked")


def _link(source: Path, staged: Path, owner: _Owner) -> str:
    """Link the file; the answer is what was in the way, or nothing."""
    if not owner.has_use_for(source):
        return "the file belongs to another user than the store"
    # Two mounts of one file system refuse a link as two file systems do, so nothing but trying
    # tells.
    try:
        os.link(source, staged)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return _NO_LINK[error.errno]
    return ""


def _copy(source: Path, staged: Path, size: int, owner: _Owner) -> None:
    with source.open("rb") as old, staged.open("xb") as new:
        try:
            # Some file systems let the two share their blocks.
            while os.copy_file_range(old.fileno(), new.fileno(), 1 << 30):
                pass
        except OSError as error:
            if error.errno not in _NO_FAST_COPY:
                raise
        # The rest, which is all or nothing.
        shutil.copyfileobj(old, new, _CHUNK)
        _finish(new, owner)
    if staged.stat().st_size != size:
        raise OllamaError(f"{source} changed while it was copied. Run it again.")


def _finish(file: t.BinaryIO, owner: _Owner) -> None:
    file.flush()
    owner.take(Path(file.name), 0o644)
    os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

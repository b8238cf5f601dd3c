# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock: which models were deployed and have answered, exactly. Private.

A YAML file, and beside it the manifest of every model from a registry, byte for byte. Runs on the
controller only.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import manifest, names

from . import strict_yaml
from .strict_yaml import Entries, Number, Plain, Section, Text

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .strict_yaml import Document

LOCK_FILE = "models.lock.yml"
MANIFESTS = "manifests"
FORMAT = 1
LINK = "link"
_COMMIT = r"[0-9a-f]{40}|[0-9a-f]{64}"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A model as it was deployed. C(digests) has a digest for each way of creating it."""

    name: str = dataclasses.field(compare=False)
    registry: str | None = None
    digest: str | None = None
    size: int | None = None
    gguf: Mapping[str, t.Any] | None = None
    base: Mapping[str, str] | None = None
    spec: str | None = None
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    line: int = dataclasses.field(default=0, compare=False)

    @property
    def source(self) -> str:
        """Where the model comes from, for people."""
        return tell_source(self.registry, self.base["name"] if self.base else None)

    def said(self) -> dict[str, t.Any]:
        """The entry as the file says it."""
        said = {
            "registry": self.registry,
            "digest": self.digest,
            "size": self.size,
            "gguf": self.gguf and dict(self.gguf),
            "from": self.base and dict(self.base),
            "spec": self.spec,
            "digests": {way: self.digests[way] for way in sorted(self.digests)},
        }
        return {key: value for key, value in said.items() if value}

    def identity(self) -> dict[str, object]:
        """What makes it this model and no other, in the words of a complaint."""
        return {
            "source": self.source,
            "digest": self.digest,
            "SHA-256 of the GGUF file": (self.gguf or {}).get("sha256"),
            "digest of the base": (self.base or {}).get("digest"),
            "spec": self.spec,
            **{_created(way): digest for way, digest in self.digests.items()},
        }


def tell_source(registry: str | None, base: str | None) -> str:
    """Where a model comes from, in the words of a complaint."""
    if registry:
        return f"registry name {names.parse(registry).short}"
    return f"base {names.parse(base).short}" if base else "GGUF file"


def _created(way: str) -> str:
    return "digest by link" if way == LINK else f"digest from Ollama {way}"


@dataclasses.dataclass(frozen=True)
class Lock:
    """The lock of one directory, empty if there is no file; the text is that of the file."""

    path: Path
    text: str = ""
    entries: Mapping[str, Entry] = dataclasses.field(default_factory=dict)
    manifests: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    def find(self, name: names.Name) -> Entry | None:
        return self.entries.get(name.key)

    def manifest(self, digest: str) -> Path:
        """Where the manifest with this digest lies, or would lie."""
        return self.path.parent / MANIFESTS / f"sha256-{digest}.json"

    def where(self, entry: Entry) -> str:
        return f"{self.path}:{entry.line}" if entry.line else str(self.path)


def _check_name(text: str) -> None:
    right = names.parse(text).short
    if text != right:
        raise Refused(f"models are named in full here: write {right!r}, not {text!r}.")


def _check_full_name(text: str) -> None:
    right = names.parse(text).full
    if text != right:
        raise Refused(f"a registry's model is named in full here: write {right!r}, not {text!r}.")


def check_sha256(text: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise Refused(f"a SHA-256 has 64 digits of 0-9 and a-f, not {text!r}.")


def check_commit(text: str) -> None:
    if not re.fullmatch(_COMMIT, text):
        raise Refused(f"a commit has 40 digits of 0-9 and a-f, not {text!r}.")


def check_way(text: str) -> None:
    if text != LINK and not re.fullmatch(r"[0-9]+\.[0-9][0-9A-Za-z.+-]*", text):
        raise Refused(f"digests go by the version of a server, or by {LINK}, not by {text!r}.")


def _check_format(value: object) -> None:
    if value != FORMAT or isinstance(value, bool):
        raise Refused(
            f"the format is {value!r}, but this version of edgellm.host knows {FORMAT} only. Use "
            "the version that wrote the file."
        )


_SHA256 = Text(required=True, check=check_sha256)
_SCHEMA = Section(
    {
        "format": Plain(required=True, check=_check_format),
        "models": Entries(
            check=_check_name,
            required=True,
            each=Section(
                {
                    "registry": Text(check=_check_full_name),
                    "digest": Text(check=check_sha256),
                    "size": Number(),
                    "gguf": Section(
                        {
                            "repo": Text(),
                            "url": Text(),
                            "file": Text(),
                            "commit": Text(check=check_commit),
                            "sha256": _SHA256,
                            "size": Number(required=True),
                        }
                    ),
                    "from": Section(
                        {"name": Text(required=True, check=_check_full_name), "digest": _SHA256}
                    ),
                    "spec": Text(check=check_sha256),
                    "digests": Entries(check=check_way, each=_SHA256),
                },
                one_of=("registry", "gguf", "from"),
            ),
        ),
    }
)
# What goes with each kind of source, and with no other.
_OF_KIND = {
    "registry": ("digest", "size"),
    "gguf": ("spec", "digests"),
    "from": ("spec", "digests"),
}


def load(directory: Path) -> Lock:
    """The lock in this directory, checked to the last manifest; Refused names file and line."""
    path = directory / LOCK_FILE
    while True:
        text = _text(path)
        try:
            lock = _parse(text, path) if text else Lock(path)
            return dataclasses.replace(lock, manifests=_manifests(lock))
        except Refused:
            # Between the two somebody may have replaced an entry, and taken its manifest away.
            if _text(path) == text:
                raise


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: not UTF-8 (byte {error.start}). Save the file as UTF-8.") from error
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error


# Templates ask for the lock again and again; the same text means the same.
@functools.lru_cache(maxsize=8)
def _parse(text: str, path: Path) -> Lock:
    document = strict_yaml.read(text, path, _SCHEMA)
    entries: dict[str, Entry] = {}
    for model, said in document.said["models"].items():
        key = names.parse(model).key
        if key in entries:
            raise document.refuse(f"{model!r} is there twice", "models", model)
        _check_kind(document, model, said)
        fields = {"base" if key == "from" else key: value for key, value in said.items()}
        entries[key] = Entry(model, **fields, line=document.line("models", model))
    return Lock(path, text, entries)


def _check_kind(document: Document, model: str, said: Mapping[str, t.Any]) -> None:
    kind = next(kind for kind in _OF_KIND if kind in said)
    for key in _OF_KIND[kind]:
        if key not in said:
            raise document.refuse(
                f"'models.{model}' has {kind!r}, but {key!r} is missing", "models", model
            )
    for key in said:
        if key not in (kind, *_OF_KIND[kind]):
            raise document.refuse(
                f"'models.{model}.{key}' does not go with {kind!r}", "models", model, key
            )


def _manifests(lock: Lock) -> dict[str, bytes]:
    """Every manifest that an entry needs, by its digest."""
    return {entry.digest: _manifest(lock, entry) for entry in lock.entries.values() if entry.digest}


def _manifest(lock: Lock, entry: Entry) -> bytes:
    path = lock.manifest(str(entry.digest))
    remedy = "Restore it from version control, or remove the entry"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise Refused(f"{lock.where(entry)}: the manifest {path} is missing. {remedy}.") from None
    except OSError as error:
        raise Refused(
            f"{lock.where(entry)}: the manifest {path} cannot be read: {error.strerror}."
        ) from error
    if manifest.digest_of(raw) != entry.digest:
        raise Refused(
            f"{lock.where(entry)}: the manifest {path} is not what its name says: its SHA-256 is "
            f"{manifest.digest_of(raw)}. {remedy} (no tool may change its line ends: "
            f"'{MANIFESTS}/* -text' in .gitattributes)."
        )
    return raw


def stale(
    lock: Lock, entry: Entry, source: Mapping[str, t.Any], spec: str | None = None
) -> str | None:
    """What the catalogue says otherwise, and what to do about it; None if it agrees.

    The source is that of the catalogue, and spec what its Modelfile would make now.
    """
    difference = _contradiction(lock, entry, source, spec)
    if difference is None:
        return None
    what, locked, now = difference
    return (
        f"{lock.where(entry)}: {entry.name} is locked with the {what} {locked}, but {now}. To move "
        f"the lock: ansible-playbook playbooks/models.yml -e models_update={entry.name}. To keep "
        "it, put the catalogue back as it was."
    )


def _contradiction(
    lock: Lock, entry: Entry, source: Mapping[str, t.Any], spec: str | None
) -> tuple[str, object, str] | None:
    said = tell_source(source["registry"], source["from"])
    if said.lower() != entry.source.lower():
        return "source", entry.source, f"the catalogue says {said}"
    for what, locked, now in _details(entry, source):
        if now is not None and locked is not None and locked != now:
            return what, locked, f"the catalogue says {now}"
    if spec and spec != entry.spec:
        return "spec", entry.spec, f"with the catalogue's Modelfile it is {spec}"
    base = lock.find(names.parse(entry.base["name"])) if entry.base else None
    if entry.base and base and entry.base["digest"] not in (base.digest, *base.digests.values()):
        of_base = base.digest or ", ".join(base.digests.values())
        return "digest of the base", entry.base["digest"], f"the base is locked with {of_base}"
    return None


def _details(entry: Entry, source: Mapping[str, t.Any]) -> list[tuple[str, object, object]]:
    """What is locked and what the catalogue says, None where one of them says nothing."""
    if not entry.gguf:
        return [("digest", entry.digest, source["digest"])]
    said = source["gguf"]
    sha256 = ("SHA-256 of the GGUF file", entry.gguf["sha256"], said["sha256"])
    if said["sha256"]:
        # The same bytes are the same file, wherever they lie.
        return [sha256]
    places = [(key, entry.gguf.get(key), said[key]) for key in ("repo", "url", "file", "size")]
    # A branch moves; only a commit can contradict another one.
    commit = said["revision"] if re.fullmatch(_COMMIT, said["revision"] or "") else None
    return [*places, ("commit", entry.gguf.get("commit"), commit)]

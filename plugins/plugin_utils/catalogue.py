# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue: one folder per model, each with a model.yml that is checked here. Private.

A model from a GGUF file or from another model has its Modelfile beside that, checked here too.

Runs on the controller only, because a managed host need not have PyYAML.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t
from pathlib import Path, PurePosixPath

from ansible_collections.edgellm.host.plugins.module_utils import gguf_split
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import (
    language,
    modelfile,
    names,
    recipe,
)
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import InvalidModelfile
from ansible_collections.edgellm.host.plugins.module_utils.ollama.probe import (
    EMBEDDING_ONLY,
    WORDS_ONLY,
    check_expect,
    parse_format,
    parse_share,
)

from . import strict_yaml
from .lock import check_sha256, stale
from .strict_yaml import Number, Plain, Section, Text

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .lock import Lock

SPEC_FILE = "model.yml"
PROBE_KINDS = ("auto", "chat", "generate", "embed")


def _check_repo(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", text, re.ASCII):
        raise Refused(f"a repository is written owner/name, not {text!r}.")


def _check_file(text: str) -> None:
    parts = text.split("/")
    if not text.endswith(".gguf") or any(part in ("", ".", "..") for part in parts):
        raise Refused(f"the path of a .gguf file in its repository is needed, not {text!r}.")
    gguf_split.refuse_for_ollama(text)


def _check_url(text: str) -> None:
    if not re.fullmatch(r"https?://[^/\s]+/\S+", text):
        raise Refused(f"an address begins with https:// or http:// and a host, not {text!r}.")


def _check_urls(value: t.Any) -> None:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Refused("a list of addresses is needed.")
    for each in value:
        _check_url(each)


def _check_beside(text: str) -> None:
    if "/" in text or text in (".", ".."):
        raise Refused(f"the name of a file in this folder is needed, not {text!r}.")


SCHEMA = Section(
    {
        "name": Text(check=names.parse),
        "description": Text(),
        "source": Section(
            {
                "registry": Text(check=names.parse),
                "gguf": Section(
                    {
                        "repo": Text(check=_check_repo),
                        "file": Text(required=True, check=_check_file),
                        "revision": Text(),
                        "sha256": Text(check=check_sha256),
                        "size": Number(),
                        "url": Text(check=_check_url),
                        "mirrors": Plain(check=_check_urls),
                    },
                    one_of=("repo", "url"),
                ),
                "from": Text(check=names.parse),
                "digest": Text(check=names.parse_digest),
            },
            required=True,
            one_of=("registry", "gguf", "from"),
        ),
        "modelfile": Text(check=_check_beside),
        "import_method": Text(choices=("auto", "api", "link")),
        "probe": Section(
            {
                "kind": Text(choices=PROBE_KINDS),
                "prompt": Text(),
                "system": Text(),
                "format": Plain(check=parse_format),
                "expect": Text(check=check_expect),
                "expect_language": Text(choices=language.LANGUAGES),
                "min_tokens": Number(),
                "dimensions": Number(),
                "require_gpu": Plain(check=parse_share),
            }
        ),
    }
)
# Which keys go with which kind of source only.
_ONLY_FOR = {
    ("modelfile",): ("gguf", "from"),
    ("import_method",): ("gguf",),
    ("source", "digest"): ("registry",),
}


@dataclasses.dataclass(frozen=True)
class Probe:
    """The request that proves a model, and what the answer must be like.

    Without a prompt the probe has one of its own.
    """

    kind: str = "auto"
    prompt: str | None = None
    system: str | None = None
    format: Mapping[str, t.Any] | str | None = None
    expect: str | None = None
    expect_language: str | None = None
    min_tokens: int | None = None
    dimensions: int | None = None
    require_gpu: bool | int | None = None


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a model is. Without a folder it was asked for by its registry name alone."""

    name: str
    source: Mapping[str, t.Any]
    folder: str | None = None
    description: str = ""
    modelfile: str | None = None
    import_method: str | None = None
    probe: Probe = dataclasses.field(default_factory=Probe)
    lock: Mapping[str, t.Any] | None = None

    @property
    def key(self) -> str:
        return names.parse(self.name).key

    @property
    def file(self) -> str:
        """The GGUF file of the model, as the container sees it."""
        return f"/models/{self.folder}/{PurePosixPath(self.source['gguf']['file']).name}"

    def to_result(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "source": dict(self.source)}


def _source(**said: t.Any) -> dict[str, t.Any]:
    """Where a model comes from, with a value for every key."""
    gguf = said.get("gguf")
    keys = ("repo", "file", "revision", "sha256", "size", "url", "mirrors")
    return {
        "registry": said.get("registry"),
        "digest": names.parse_digest(said.get("digest")),
        "gguf": {key: gguf.get(key) for key in keys} if gguf else None,
        "from": said.get("from"),
    }


def load(directories: Iterable[Path]) -> dict[str, Spec]:
    """Folder and spec of every model; a folder in an earlier directory hides the later ones."""
    found: dict[str, Spec] = {}
    for directory in directories:
        mine = {path.parent.name: _read(path) for path in sorted(directory.glob(f"*/{SPEC_FILE}"))}
        _refuse_twins(directory, mine)
        found.update({folder: spec for folder, spec in mine.items() if folder not in found})
    return found


def select(
    entries: Sequence[str], catalogue: Mapping[str, Spec], directories: Iterable[Path] = ()
) -> list[Spec]:
    """The spec of each entry, a folder or a registry name; the same model is told once.

    In the order of the entries, but no model comes before the one that it is made from.
    """
    by_name: dict[str, Spec] = {}
    for spec in catalogue.values():
        by_name.setdefault(spec.key, spec)
    chosen: dict[str, Spec] = {}
    for entry in entries:
        spec = catalogue.get(entry) or _by_registry_name(entry, by_name, directories)
        known = chosen.setdefault(spec.key, spec)
        if known.folder != spec.folder:
            raise Refused(
                f"The folders {known.folder!r} and {spec.folder!r} are two different models with "
                f"the one name {spec.name!r}. Take one of them out of the list."
            )
    return _bases_first(chosen)


def _bases_first(specs: Mapping[str, Spec]) -> list[Spec]:
    ordered: dict[str, Spec] = {}

    def put(spec: Spec, above: tuple[str, ...]) -> None:
        if spec.key in above:
            raise Refused(
                f"{spec.name} would be made from itself, by way of other models. Change "
                f"'source.from' of one of them in its {SPEC_FILE}."
            )
        base = spec.source["from"] and specs.get(names.parse(spec.source["from"]).key)
        if base:
            put(base, (*above, spec.key))
        ordered[spec.key] = spec

    for spec in specs.values():
        put(spec, ())
    return list(ordered.values())


def with_lock(spec: Spec, lock: Lock) -> Spec:
    """The spec with what the lock says of the model, and whether the catalogue contradicts it."""
    entry = lock.find(names.parse(spec.name))
    if entry is None:
        return spec
    locked: recipe.Weights | recipe.Base | None = None
    if entry.gguf and spec.source["gguf"]:
        locked = recipe.Weights(spec.file, entry.gguf["sha256"])
    elif entry.base and spec.source["from"]:
        locked = recipe.Base(names.parse(spec.source["from"]), entry.base["digest"])
    made = recipe.make(names.parse(spec.name), locked, spec.modelfile).spec if locked else None
    told = {
        **dict.fromkeys(("registry", "digest", "size", "gguf", "from", "spec", "digests")),
        **entry.said(),
        "manifest": str(lock.manifest(entry.digest)) if entry.digest else None,
        "stale": stale(lock, entry, spec.source, made),
    }
    return dataclasses.replace(spec, lock=told)


def _by_registry_name(entry: str, by_name: Mapping[str, Spec], directories: Iterable[Path]) -> Spec:
    if "/" not in entry:
        for directory in directories:
            if (directory / entry).is_dir():
                raise Refused(
                    f"{directory / entry} is a folder of the catalogue without {SPEC_FILE}. Write "
                    "one (another model's shows how), or remove the folder."
                )
    name = names.parse(entry)
    return by_name.get(name.key) or Spec(name=entry, source=_source(registry=entry))


def _refuse_twins(directory: Path, specs: Mapping[str, Spec]) -> None:
    seen: dict[str, str] = {}
    for folder, spec in specs.items():
        if spec.key in seen:
            raise Refused(
                f"{directory}: the folders {seen[spec.key]!r} and {folder!r} both have the name "
                f"{spec.name!r}. Give one of them another name, or remove it."
            )
        seen[spec.key] = folder


def _read(path: Path) -> Spec:
    status = path.stat()
    spec, beside = _read_once(path, status.st_mtime_ns, status.st_size)
    return _with_modelfile(spec, path.parent / beside, path) if beside else spec


@functools.lru_cache(maxsize=1024)
def _read_once(path: Path, _mtime: int, _size: int) -> tuple[Spec, str | None]:
    """Templates ask for the catalogue again and again; a file is read again when it changed."""
    return parse(_text(path), path)


def _text(path: Path) -> str:
    try:
        return modelfile.decode(path.read_bytes())
    except UnicodeDecodeError as error:
        raise Refused(f"{path}: not UTF-8 (byte {error.start}). Save the file as UTF-8.") from error


def _with_modelfile(spec: Spec, path: Path, said_in: Path) -> Spec:
    try:
        # An editor on Windows must not make another model of it.
        text = modelfile.with_unix_lines(_text(path))
    except OSError as error:
        raise Refused(f"{said_in}: {path} cannot be read: {error.strerror}.") from error
    try:
        if spec.source["from"]:
            recipe.read_modelfile_of_base(text, names.parse(spec.source["from"]))
        else:
            recipe.read_modelfile(text, spec.file, folder=spec.folder)
    except InvalidModelfile as error:
        line = f":{error.line}" if error.line else ""
        raise Refused(f"{path}{line}: {error.complaint}.") from error
    return dataclasses.replace(spec, modelfile=text)


def parse(text: str, path: Path) -> tuple[Spec, str | None]:
    """The spec in the text of a model.yml, and its Modelfile's name; Refused names the line."""
    document = strict_yaml.read(text, path, SCHEMA)
    source = document.said["source"]
    for keys, kinds in _ONLY_FOR.items():
        if _has(document.said, keys) and not set(kinds) & set(source):
            rest = " or ".join(f"'source.{kind}'" for kind in kinds)
            raise document.refuse(f"{'.'.join(keys)!r} is only for models with {rest}", *keys)
    if "from" in source and "modelfile" not in document.said:
        raise document.refuse(
            "'source.from' needs 'modelfile', which says what is to be other than in the base. To "
            "serve the base itself, write 'registry' instead of 'from'",
            *("source", "from"),
        )
    _check_probe(document)
    return _to_spec(document, path), document.said.get("modelfile")


def _has(said: Mapping[str, t.Any], keys: tuple[str, ...]) -> bool:
    *above, last = keys
    for key in above:
        said = said.get(key, {})
    return last in said


def _check_probe(document: strict_yaml.Document) -> None:
    said = document.said.get("probe", {})
    kind = said.get("kind", "auto")
    meaningless = {"embed": WORDS_ONLY, "auto": ()}.get(kind, EMBEDDING_ONLY)
    for key in meaningless:
        if key in said:
            raise document.refuse(
                f"'probe.{key}' has no meaning where 'probe.kind' is {kind}", "probe", key
            )


def _to_spec(document: strict_yaml.Document, path: Path) -> Spec:
    said, folder = document.said, path.parent.name
    name, source = said.get("name", folder), said["source"]
    try:
        own = names.parse(name)
    except Refused as error:
        raise Refused(
            f"{path}: without 'name' the folder's name is the model's. {error}"
        ) from error
    if "from" in source and names.parse(source["from"]).key == own.key:
        raise document.refuse(
            f"{name} cannot be its own base. Give it another 'name'", "source", "from"
        )
    return Spec(
        name=name,
        source=_source(**source),
        folder=folder,
        description=said.get("description", ""),
        import_method=said.get("import_method"),
        probe=Probe(**said.get("probe", {})),
    )

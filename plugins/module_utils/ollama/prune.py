# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remove what nobody needs: read, decide, apply, and look again before each step. Private."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import names, snapshots
from .errors import OllamaError
from .store import Contents, File, Store, StoredManifest, freed_by

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .client import Client, Installed


@dataclasses.dataclass(frozen=True)
class Wanted:
    orphans: bool = False
    partials: bool = False
    min_age: float = 3600
    unlisted: bool = False
    keep: tuple[names.Name, ...] = ()
    snapshots: bool = False


@dataclasses.dataclass(frozen=True)
class State:
    """What was read: the models only if some may go, the store only if it is to be seen."""

    now: float
    installed: tuple[Installed, ...] = ()
    contents: Contents | None = None


@dataclasses.dataclass(frozen=True)
class Blob:
    digest: str
    file: File
    needed_by: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Partial:
    """What a broken-off download or upload left; the digest of an upload is not known."""

    digest: str | None
    files: tuple[File, ...]


@dataclasses.dataclass(frozen=True)
class Kept:
    """Something that nobody asked to keep, and why it stays nevertheless."""

    kind: t.Literal["model", "blob", "blobs", "partial"]
    name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """What goes. The server removes the models and with them the layers only they need."""

    models: tuple[Installed, ...] = ()
    layers: tuple[Blob, ...] = ()
    orphans: tuple[Blob, ...] = ()
    partials: tuple[Partial, ...] = ()
    kept: tuple[Kept, ...] = ()
    # Without the store nobody knows which layers of a model are shared.
    sees_store: bool = True

    @property
    def changed(self) -> bool:
        return bool(self.models or self.orphans or self.partials)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return self.layers + self.orphans

    @property
    def bytes_freed(self) -> int | None:
        if self.models and not self.sees_store:
            return None
        pieces = [file for partial in self.partials for file in partial.files]
        return freed_by([*(blob.file for blob in self.blobs), *pieces])

    @property
    def diff(self) -> dict[str, t.Any]:
        return {
            "before": {
                "models": {model.name.short: model.digest for model in self.models},
                "blobs": [blob.digest for blob in self.blobs],
                "partials": [file.name for partial in self.partials for file in partial.files],
            },
            "after": {"models": {}, "blobs": [], "partials": []},
        }

    def to_result(self) -> dict[str, t.Any]:
        """What the module tells about the plan."""
        models = [
            {"name": model.name.short, "full_name": model.name.full, "digest": model.digest}
            for model in self.models
        ]
        blobs = [
            {
                "digest": blob.digest,
                "size": blob.file.size,
                "bytes_freed": freed_by([blob.file]),
                "linked": blob.file.linked,
                "needed_by": list(blob.needed_by),
            }
            for blob in self.blobs
        ]
        partials = [
            {
                "digest": partial.digest,
                "files": [file.name for file in partial.files],
                "bytes_freed": freed_by(partial.files),
            }
            for partial in self.partials
        ]
        return {
            "models": models,
            "blobs": blobs,
            "partials": partials,
            "bytes_freed": self.bytes_freed,
        }


def check(wanted: Wanted) -> None:
    """Refuse what is dangerous whatever the server and the store are like."""
    if wanted.min_age < 0:
        raise Refused(f"min_age {wanted.min_age} must not be negative.")
    if wanted.unlisted and not wanted.keep:
        raise Refused(
            "unlisted=true with an empty list keep would remove every model. Name the models to "
            "keep; to remove a certain one, use ollama_model with state=absent."
        )


def ensure(client: Client, wanted: Wanted, store: Store | None, *, check_mode: bool) -> Plan:
    """What was removed, or in check mode would be."""
    check(wanted)
    plan = decide(wanted, read(client, wanted, store))
    if check_mode or not plan.changed:
        return plan
    return apply(client, store, plan)


def read(client: Client, wanted: Wanted, store: Store | None) -> State:
    if store and store.blobs.is_symlink():
        raise Refused(f"{store.blobs} is a symbolic link, and nothing is removed behind one.")
    if store:
        store.check()
    # The models first: one that is made meanwhile is only in the store then, and does no harm.
    installed = tuple(client.tags()) if wanted.unlisted else ()
    contents = store.read() if store else None
    return State(time.time(), installed, contents)


def decide(wanted: Wanted, state: State) -> Plan:
    """What may go, and what stays though nobody asked for it."""
    kept: list[Kept] = []
    contents, models = state.contents, _unlisted(wanted, state, kept)
    if contents is None:
        return Plan(models, kept=tuple(kept), sees_store=False)
    if contents.broken and (wanted.orphans or models):
        kept.append(Kept("blobs", "all", _unknown(contents.broken)))
    if contents.broken:
        for model in models:
            kept.append(Kept("model", model.name.short, "the server would remove blobs with it"))
        models = ()
    leaving = {model.name.key for model in models}
    return Plan(
        models,
        _layers(contents, leaving),
        _orphans(wanted, state, contents, kept) if wanted.orphans else (),
        _partials(wanted, state, contents, kept) if wanted.partials else (),
        tuple(kept),
    )


def apply(client: Client, store: Store | None, plan: Plan) -> Plan:
    """Carry the plan out as far as it still holds; the answer is what was really done."""
    kept = list(plan.kept)
    models = tuple(model for model in plan.models if _remove_model(client, model, kept))
    listed = {model.name.key for model in client.tags()} if models else set()
    for model in models:
        if model.name.key in listed:
            raise OllamaError(
                f"{model.name.short} was removed, but is there again. "
                "Does somebody else change the models of this server?"
            )
    done = dataclasses.replace(plan, models=models, kept=tuple(kept))
    if store is None:
        return done
    try:
        return dataclasses.replace(
            done,
            layers=tuple(blob for blob in plan.layers if _went(store, blob, models, kept)),
            orphans=tuple(blob for blob in plan.orphans if _remove_blob(store, blob, kept)),
            partials=tuple(piece for piece in plan.partials if _remove_partial(store, piece, kept)),
            kept=tuple(kept),
        )
    except OSError as error:
        raise OllamaError(
            f"Files in {store.blobs} cannot be removed: {error.strerror}. "
            "Run the task as the user that owns them, usually root (become)."
        ) from error


# --- deciding ------------------------------------------------------------------------------------


def _unlisted(wanted: Wanted, state: State, kept: list[Kept]) -> tuple[Installed, ...]:
    if not wanted.unlisted:
        return ()
    keys = {name.key for name in wanted.keep}
    staying = [model for model in state.installed if model.name.key in keys]
    digests = {model.digest: model.name.short for model in reversed(staying)}
    leaving = []
    for model in state.installed:
        if model.name.key in keys:
            continue
        origin = _origin(model.name, keys)
        if origin and not wanted.snapshots:
            reason = f"it is a version of {origin.short}, which is kept (unless snapshots=true)"
            kept.append(Kept("model", model.name.short, reason))
        elif not origin and model.digest in digests:
            reason = f"it is the same model as {digests[model.digest]}, which is kept"
            kept.append(Kept("model", model.name.short, reason))
        else:
            leaving.append(model)
    if leaving and not staying:
        raise Refused(
            "None of the models in keep is installed on this server, so every model would be "
            "removed. Install what is to be kept first, or check the spelling of the names: "
            f"{', '.join(name.short for name in wanted.keep)}."
        )
    _check_same_store(leaving, state.contents)
    return tuple(sorted(leaving, key=lambda model: model.name.key))


def _origin(name: names.Name, keys: set[str]) -> names.Name | None:
    """The kept model that this is a version of; a version may have versions itself."""
    origin = snapshots.origin_of(name)
    while origin and origin.key not in keys:
        origin = snapshots.origin_of(origin)
    return origin


def _check_same_store(leaving: Iterable[Installed], contents: Contents | None) -> None:
    for model in leaving if contents else ():
        if contents and contents.find(model.name) is None:
            raise Refused(
                f"The server has {model.name.short}, but the folder in store does not. "
                "Name the folder that this server knows as OLLAMA_MODELS."
            )


def _layers(contents: Contents, leaving: set[str]) -> tuple[Blob, ...]:
    def needing(digest: str) -> tuple[str, ...]:
        return tuple(entry.name.short for entry in contents.references[digest] if entry.name)

    going = sorted(contents.only_in(leaving).items())
    return tuple(Blob(digest, file, needing(digest)) for digest, file in going)


def _orphans(
    wanted: Wanted, state: State, contents: Contents, kept: list[Kept]
) -> tuple[Blob, ...]:
    going = []
    for digest, file in (contents.orphans or {}).items():
        if _is_old(wanted, state, (file,)):
            going.append(Blob(digest, file))
        else:
            kept.append(Kept("blob", digest, _young(wanted)))
    return tuple(going)


def _partials(
    wanted: Wanted, state: State, contents: Contents, kept: list[Kept]
) -> tuple[Partial, ...]:
    found = [Partial(digest, files) for digest, files in contents.partials.items()]
    found += [Partial(None, (file,)) for file in contents.strays]
    going = []
    for partial in found:
        if _is_old(wanted, state, partial.files):
            going.append(partial)
        else:
            kept.append(Kept("partial", partial.files[0].name, _young(wanted)))
    return tuple(going)


def _is_old(wanted: Wanted, state: State, files: tuple[File, ...]) -> bool:
    return all(state.now - file.touched >= wanted.min_age for file in files)


def _young(wanted: Wanted) -> str:
    return (
        f"something was done with it less than {wanted.min_age} s ago (min_age), so a pull or an "
        "upload may be under way"
    )


def _unknown(broken: tuple[StoredManifest, ...]) -> str:
    told = "; ".join(f"{entry.path} ({entry.error})" for entry in broken)
    return (
        "nobody knows which blobs are needed while a manifest cannot be read. "
        f"Repair or remove it: {told}"
    )


# --- applying ------------------------------------------------------------------------------------


def _remove_model(client: Client, model: Installed, kept: list[Kept]) -> bool:
    digests = {found.name: found.digest for found in client.tags()}
    if digests.get(model.name) != model.digest:
        kept.append(Kept("model", model.name.short, "somebody else changed it meanwhile"))
        return False
    # The server would keep a deleted model in memory until its time is up.
    if any(entry.get("name") == model.name.short for entry in client.running()):
        client.unload(model.name)
    client.delete(model.name)
    return True


def _went(store: Store, blob: Blob, models: tuple[Installed, ...], kept: list[Kept]) -> bool:
    if not any(model.name.short in blob.needed_by for model in models):
        return False
    if not store.blob(blob.digest).exists():
        return True
    kept.append(Kept("blob", blob.digest, "the server did not remove it with its models"))
    return False


def _remove_blob(store: Store, blob: Blob, kept: list[Kept]) -> bool:
    # Read anew for each blob: a model that was made meanwhile must not lose any.
    now = Contents(store.read_manifests())
    if now.broken:
        kept.append(Kept("blob", blob.digest, _unknown(now.broken)))
    elif blob.digest in now.references:
        kept.append(Kept("blob", blob.digest, "a model that was made meanwhile needs it"))
    elif not store.remove([blob.file]):
        kept.append(Kept("blob", blob.digest, "somebody else changed it meanwhile"))
    else:
        return True
    return False


def _remove_partial(store: Store, partial: Partial, kept: list[Kept]) -> bool:
    # Journals first: one without its file would make the server believe in bytes that are gone.
    if store.remove(sorted(partial.files, key=lambda file: file.name, reverse=True)):
        return True
    kept.append(Kept("partial", partial.files[0].name, "somebody else changed it meanwhile"))
    return False

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create a model from a GGUF file and a Modelfile: read, decide, apply, read back. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.status_file import StatusFile

from . import compare, plan
from .client import Client, Installed
from .errors import OllamaError
from .model import HASHING_BYTES_PER_SECOND, Outcome, describe
from .progress import Progress
from .record import Origin, OriginRecord

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .recipe import Recipe, Weights

_CHUNK = 1 << 20
_MAGIC = b"GGUF"
# The first release that writes the file anew on create, so that its hash tells nothing.
_REWRITES_SINCE = (0, 30)


@dataclasses.dataclass(frozen=True)
class State:
    """What was read: the model as it is, and where the record says that it came from."""

    current: Installed | None = None
    shown: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    origin: Origin | None = None
    server_version: str = ""
    blob_here: bool = False

    @property
    def settled(self) -> Origin | None:
        """The record, if it is about the very model that is installed."""
        current, origin = self.current, self.origin
        return origin if current and origin and origin.digest == current.digest else None


def ensure(
    client: Client,
    recipe: Recipe,
    record: OriginRecord | None,
    *,
    check_mode: bool,
    status_file: str | None = None,
) -> Outcome:
    """The model as the recipe wants it, or in check mode the exact prediction of it."""
    if record and not record.has_folder:
        raise Refused(f"The folder of the record {record.path} does not exist.")
    recipe = measure(recipe, check_mode=check_mode)
    state = read(client, recipe, record)
    planned = decide(recipe, state)
    if planned.changed:
        check_file(recipe.weights, may_be_missing=check_mode)
    if planned.changed and check_mode:
        return Outcome(planned, _foreseen(recipe, state))
    if planned.changed:
        apply(client, recipe, planned, StatusFile(status_file))
        state = _read_back(client, recipe, state)
    current = t.cast(Installed, state.current)
    if record and not check_mode and state.settled is None:
        record.write(recipe.name, _origin(recipe, current, state.server_version))
    return Outcome(planned, describe(current))


def measure(recipe: Recipe, *, check_mode: bool) -> Recipe:
    """The recipe with what must be known of the file; it is read only if nobody told its hash."""
    weights = recipe.weights
    path = Path(weights.path)
    try:
        size = path.stat().st_size if path.is_file() else None
        if size is not None and weights.size not in (None, size):
            raise Refused(f"{path} has {size} bytes, not the {weights.size} of gguf_size.")
        sha256 = weights.sha256
        if sha256 is None and size is not None:
            with path.open("rb") as file:
                sha256 = _sha256(file)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    if sha256 is None and not (check_mode and weights.size is not None):
        raise _missing(weights)
    known = dataclasses.replace(weights, sha256=sha256, size=weights.size if size is None else size)
    return dataclasses.replace(recipe, weights=known)


def _sha256(file: t.BinaryIO) -> str:
    checksum = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        checksum.update(chunk)
    return checksum.hexdigest()


def check_file(weights: Weights, *, may_be_missing: bool) -> None:
    """Refuse what is no GGUF file before a gigabyte of it is sent.

    What is downloaded in the same run is not there yet when that is only predicted; then its size
    must be known.
    """
    try:
        with Path(weights.path).open("rb") as file:
            start = file.read(len(_MAGIC))
    except FileNotFoundError as error:
        if may_be_missing and weights.size is not None:
            return
        raise _missing(weights) from error
    except OSError as error:
        raise Refused(f"{weights.path} cannot be read: {error.strerror}.") from error
    if start != _MAGIC:
        raise Refused(
            f"{weights.path} is not a GGUF file: it begins with {start!r}. Was a web page or a "
            "pointer to a large file saved in its place?"
        )


def _missing(weights: Weights) -> Refused:
    return Refused(
        f"The GGUF file {weights.path} does not exist on the host. "
        "edgellm.host.gguf_file downloads it; a path inside a container is not meant."
    )


def read(client: Client, recipe: Recipe, record: OriginRecord | None) -> State:
    """Everything the decision needs, and nothing it does not."""
    current = client.find(recipe.name)
    origin = record.read(recipe.name) if record else None
    state = State(current=current, origin=origin)
    if state.settled and state.settled.spec == recipe.spec:
        return state
    state = dataclasses.replace(
        state,
        shown=client.show(current.name) if current else {},
        server_version=client.version(),
    )
    # Never asked to find out whether the model is there: new servers do not keep what was sent.
    if recipe.blob and needs_create(recipe, state):
        state = dataclasses.replace(state, blob_here=client.has_blob(recipe.blob))
    return state


def needs_create(recipe: Recipe, state: State) -> bool:
    """Whether the installed model is another one than the recipe's."""
    if state.current is None:
        return True
    if state.origin is not None:
        return state.settled is None or state.settled.spec != recipe.spec
    # Nobody remembers where it came from: what can be seen of it decides.
    same_weights = _weights(recipe, state) in (None, recipe.weights.sha256)
    same_rest = compare.live(state.shown, recipe) == compare.wanted(recipe)
    return not (same_weights and same_rest)


def decide(recipe: Recipe, state: State) -> plan.Plan:
    """The plan for this state."""
    seen: dict[str, t.Any] = {}
    if state.current is not None:
        current = state.current
        seen = {"name": current.name.short, "digest": current.digest, "size": current.size}
    if not needs_create(recipe, state):
        return plan.Plan(seen, seen)
    live = compare.live(state.shown, recipe) if state.current else {}
    wanted = compare.wanted(recipe)
    before, after = _weights(recipe, state), recipe.weights.sha256
    name = seen.get("name", recipe.name.short)
    return plan.Plan(
        {**seen, **compare.told({"gguf_sha256": before, **live})},
        {"name": name, **compare.told({"gguf_sha256": after, **wanted})},
        _actions(recipe, state),
    )


def _actions(recipe: Recipe, state: State) -> tuple[plan.Action, ...]:
    size = recipe.weights.size or 0
    if state.blob_here:
        return (plan.Action("create", recipe.name, bytes_reuse=size),)
    upload = plan.Action("upload", recipe.name, bytes_upload=size)
    return (upload, plan.Action("create", recipe.name))


def _weights(recipe: Recipe, state: State) -> str | None:
    """The SHA-256 of the file that the installed model was made from, or None if nobody knows."""
    if state.settled:
        return state.settled.gguf_sha256
    blob = compare.weights_of(state.shown)
    if blob == recipe.weights.sha256 or not _rewrites(state.server_version):
        return blob
    return None


def _rewrites(version: str) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    found = tuple(map(int, numbers.groups())) if numbers else (0, 0)
    # A server built from source calls itself 0.0.0.
    return found == (0, 0) or found >= _REWRITES_SINCE


def apply(client: Client, recipe: Recipe, planned: plan.Plan, status_file: StatusFile) -> None:
    """Carry out the actions; the name changes only with the last line of create."""
    size = recipe.weights.size or 0
    progress = Progress(planned.bytes_upload)
    for action in planned.actions:
        if action.action == "upload":
            chunks = _watched(recipe, progress, status_file)
            client.upload(t.cast(str, recipe.blob), chunks, size)
        elif action.action == "create":
            # Newer servers write the file anew, and hash what they wrote.
            patience = size / HASHING_BYTES_PER_SECOND
            for _line in client.create(recipe.body(), patience=patience):
                status_file.update(recipe.name.short, progress)


def _watched(recipe: Recipe, progress: Progress, status_file: StatusFile) -> Iterator[bytes]:
    """The file, piece by piece, while the status file tells how much of it went."""
    weights = recipe.weights
    done = 0
    try:
        with Path(weights.path).open("rb") as file:
            while chunk := file.read(_CHUNK):
                progress.feed({"digest": recipe.blob, "total": weights.size, "completed": done})
                status_file.update(recipe.name.short, progress)
                done += len(chunk)
                if done > (weights.size or 0):
                    break
                yield chunk
    except OSError as error:
        raise OllamaError(f"{weights.path} cannot be read: {error.strerror}.") from error
    if done != weights.size:
        raise OllamaError(f"{weights.path} changed while it was uploaded. Run it again.")
    progress.feed({"digest": recipe.blob, "total": weights.size, "completed": done})


def _read_back(client: Client, recipe: Recipe, before: State) -> State:
    current = client.find(recipe.name)
    shown = client.show(current.name) if current else {}
    wanted = compare.wanted(recipe)
    live = compare.live(shown, recipe)
    wrong = sorted(key for key, value in wanted.items() if live.get(key) != value)
    if current is None or wrong:
        raise OllamaError(
            f"{recipe.name.short} was created, but {client.url} shows something else now: "
            f"{', '.join(wrong) or 'no such model'}. "
            "Does somebody else change the models of this server?",
            diff={"before": wanted, "after": live},
        )
    return State(current=current, shown=shown, server_version=before.server_version)


def _foreseen(recipe: Recipe, state: State) -> dict[str, t.Any]:
    name = state.current.name if state.current else recipe.name
    # Which digest a server gives to what it creates is its own affair.
    return {"name": name.short, "full_name": name.full, "digest": None, "size": None}


def _origin(recipe: Recipe, current: Installed, version: str) -> Origin:
    return Origin(
        spec=recipe.spec,
        digest=current.digest,
        gguf_sha256=recipe.weights.sha256 or "",
        server_version=version,
    )

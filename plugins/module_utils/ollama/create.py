# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create a model from weights or from a base: read, decide, apply, read back. Private."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils import gguf
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.status_file import StatusFile

from . import files, link, model, plan, registry, snapshots
from .client import Client, Installed
from .creation import State, Wanted, decide, live_of, needs_create, needs_look, wanted_of
from .errors import ApiError, NotFound, OllamaError, UnknownModel
from .model import HASHING_BYTES_PER_SECOND, Outcome, describe
from .progress import Progress
from .recipe import Base, Recipe, Weights
from .record import Origin, OriginRecord

if t.TYPE_CHECKING:
    from .names import Name
    from .store import Store


def ensure(
    client: Client,
    wanted: Wanted,
    record: OriginRecord | None,
    *,
    check_mode: bool,
    status_file: str | None = None,
) -> Outcome:
    """The model as the recipe wants it, or in check mode the exact prediction of it."""
    model.check_folder(record)
    wanted = dataclasses.replace(wanted, recipe=measured(wanted.recipe, check_mode=check_mode))
    wanted, state = read(client, wanted, record, check_mode=check_mode)
    planned = decide(wanted, state)
    drift = model.drift_of(state.current, state.origin.digest if state.origin else None)
    if planned.replaces:
        for weights in wanted.recipe.files:
            files.check(weights, may_be_missing=check_mode)
        model.check_disk(planned, wanted.store)
    # What is as wanted is nobody's fault.
    outcome = Outcome(planned, None, drift if planned.replaces else None, warnings=_warnings(state))
    if planned.replaces and wanted.recipe.weights:
        outcome = dataclasses.replace(outcome, way=state.way, way_reason=state.declined)
    if planned.replaces and check_mode:
        return dataclasses.replace(outcome, model=_foreseen(wanted, state))
    if planned.replaces:
        model.intend(record, wanted.recipe.name, wanted.recipe.spec)
        obstacle = apply(client, wanted, state, planned, StatusFile(status_file))
        state = _read_back(client, wanted, state)
        outcome = dataclasses.replace(outcome, way_reason=obstacle or outcome.way_reason)
    elif planned.changed and not check_mode:
        for action in planned.actions:
            model.step(client, action)
    current = t.cast(Installed, state.current)
    if record and not check_mode and state.settled is None:
        record.write(wanted.recipe.name, _origin(wanted.recipe, current, state))
    return dataclasses.replace(outcome, model=describe(current))


def _warnings(state: State) -> tuple[str, ...]:
    if state.base_missing is None:
        return ()
    return (f"The base must be made before, by another task: {state.base_missing}",)


def measured(recipe: Recipe, *, check_mode: bool) -> Recipe:
    """The recipe with what must be known of its files."""
    adapters = tuple(files.measure(file, check_mode=check_mode) for file in recipe.adapters)
    source = recipe.source
    if isinstance(source, Weights):
        source = files.measure(source, check_mode=check_mode)
    return dataclasses.replace(recipe, source=source, adapters=adapters)


def read(
    client: Client, wanted: Wanted, record: OriginRecord | None, *, check_mode: bool
) -> tuple[Wanted, State]:
    """Everything the decision needs, and nothing it does not; the recipe knows its base then."""
    recipe = wanted.recipe
    installed = {found.name.key: found for found in client.tags()}
    state = State(
        current=installed.get(recipe.name.key),
        origin=record.read(recipe.name) if record else None,
        recording=record is not None,
        installed={key: found.digest for key, found in installed.items()},
    )
    if recipe.base:
        wanted, state = _read_base(client, wanted, state, check_mode=check_mode)
        recipe = wanted.recipe
    if not needs_look(wanted, state):
        return wanted, state
    state = dataclasses.replace(
        state,
        shown=client.show(state.current.name) if state.current else {},
        server_version=client.version(),
    )
    if recipe.base and state.base_plan is None and state.base_missing is None:
        state = dataclasses.replace(state, base_shown=client.show(recipe.base.name))
    if recipe.weights:
        linked, declined = _judged(wanted, recipe.weights, state)
        state = dataclasses.replace(state, linked=linked, declined=declined)
    # Never asked to find out whether the model is there: new servers do not keep what was sent.
    if needs_create(wanted, state) and not state.linked:
        blobs = [file.blob for file in recipe.files if file.blob]
        here = frozenset(blob for blob in blobs if client.has_blob(blob))
        state = dataclasses.replace(state, blobs_here=here)
    return wanted, state


def _judged(
    wanted: Wanted, weights: Weights, state: State
) -> tuple[link.Linked | None, str | None]:
    """The model as a link makes it, or None and why it is not made so."""
    if wanted.method == "api" or wanted.store is None:
        return None, None
    if wanted.recipe.adapters:
        return None, "Only Ollama itself can carry out adapters."
    if weights.sha256 is None or not Path(weights.path).is_file():
        return None, f"Nobody can look into {weights.path} before it is there."
    header = gguf.read(weights.path)
    declined = link.judge(wanted.recipe.fields, header)
    if declined:
        return None, declined
    linked = link.make(wanted.recipe.fields, header, weights.sha256, weights.size or 0)
    if wanted.digest not in (None, linked.digest):
        return None, f"A link gives the digest {linked.digest}, not the expected one."
    try:
        snapshots.staged(wanted.recipe.name, linked.digest)
    except Refused as error:
        return None, str(error)
    return linked, None


def _read_base(
    client: Client, wanted: Wanted, state: State, *, check_mode: bool
) -> tuple[Wanted, State]:
    base = t.cast(Base, wanted.recipe.base)
    digest = state.installed.get(base.name.key)
    if digest is not None:
        return _based_on(wanted, digest), state
    if state.settled:
        # A base that was removed since does not make another model of this one.
        remembered = _based_on(wanted, state.settled.base_digest)
        if not needs_look(remembered, state):
            return remembered, state
    place = registry.place(base.name, wanted.registry_mirror)
    mirrored = bool(wanted.registry_mirror)
    pulled = plan.Wanted(base.name, "present", place, mirrored, wanted.base_digest)
    plan.check(pulled)
    try:
        steps = plan.decide(pulled, model.read(client, pulled, store=wanted.store))
    except UnknownModel as error:
        if not check_mode:
            raise
        # A task before this one may be about to make it.
        return wanted, dataclasses.replace(state, base_missing=str(error))
    missing = dataclasses.replace(state, base_wanted=pulled, base_plan=steps)
    return _based_on(wanted, steps.after["digest"]), missing


def _based_on(wanted: Wanted, digest: str) -> Wanted:
    recipe = wanted.recipe
    source = dataclasses.replace(t.cast(Base, recipe.base), digest=digest)
    return dataclasses.replace(wanted, recipe=dataclasses.replace(recipe, source=source))


def apply(
    client: Client, wanted: Wanted, state: State, planned: plan.Plan, status_file: StatusFile
) -> str:
    """Carry out the actions; the name changes only with the last line of create.

    Gives what was in the way of a link, or nothing.
    """
    recipe = wanted.recipe
    steps = planned.actions
    if state.base_plan and state.base_wanted:
        model.apply(client, state.base_wanted, state.base_plan, status_file)
        steps = steps[len(state.base_plan.actions) :]
    progress = Progress(planned.total("bytes_upload"))
    obstacle = ""

    def tell() -> None:
        status_file.update(recipe.name.short, progress)

    for action in steps:
        if action.action == "upload":
            file = next(each for each in recipe.files if each.sha256 == action.digest)
            content = files.pieces(file, progress, tell)
            client.upload(t.cast(str, file.blob), content, file.size or 0)
        elif action.action == "link":
            obstacle = _link(wanted, state, action.name)
            _check_linked(client, wanted, action)
        elif action.action == "create":
            # Newer servers write the file anew, and hash what they wrote.
            patience = sum(file.size or 0 for file in recipe.files) / HASHING_BYTES_PER_SECOND
            for _line in client.create(recipe.body(action.name), patience=patience):
                tell()
            _check_created(client, action)
        else:
            model.step(client, action)
    return obstacle


def _link(wanted: Wanted, state: State, aside: Name) -> str:
    """Link the weights into the store, once they are proven; a server would do that on upload."""
    weights, store = t.cast(Weights, wanted.recipe.source), t.cast("Store", wanted.store)
    found = files.hash_of(Path(weights.path))
    if found != weights.sha256:
        raise Refused(
            f"{weights.path} has the SHA-256 {found}, not the {weights.sha256} of gguf_sha256. "
            "Remove the file and fetch it again."
        )
    placed = link.apply(store, aside, t.cast(link.Linked, state.linked), weights.path)
    return f"The file was copied, because {placed.why}." if placed.why else ""


def _check_linked(client: Client, wanted: Wanted, action: plan.Action) -> None:
    """Take back what the server does not see, or cannot read (a template with a mistake)."""
    store = t.cast("Store", wanted.store)
    try:
        client.show(action.name)
    except NotFound as error:
        store.manifest(action.name).unlink(missing_ok=True)
        raise OllamaError(
            f"{action.name.short} was written to {store.root}, but {client.url} does not see it. "
            "Is that the store of this server? Give the right one in store, or "
            "import_method=api."
        ) from error
    except ApiError as error:
        store.manifest(action.name).unlink(missing_ok=True)
        raise OllamaError(
            f"{wanted.recipe.name.short} cannot be served as it is described: {error} What was "
            "there before is still there."
        ) from error


def _check_created(client: Client, action: plan.Action) -> None:
    if action.digest is None:
        return
    found = client.find(action.name)
    if found is None or found.digest != action.digest:
        if found is not None:
            client.delete(found.name)
        raise OllamaError(
            f"The model was expected with the digest {action.digest}, but this server made "
            f"{found.digest if found else None} of it; what was there before is still there. "
            "Another version of Ollama gives other digests to what it creates."
        )


def _read_back(client: Client, wanted: Wanted, before: State) -> State:
    recipe = wanted.recipe
    current = client.find(recipe.name)
    shown = client.show(current.name) if current else {}
    base_shown = client.show(recipe.base.name) if recipe.base else {}
    after = dataclasses.replace(
        before, current=current, shown=shown, base_shown=base_shown, origin=None
    )
    expected, live = wanted_of(recipe, after), live_of(recipe, after)
    wrong = sorted(key for key, value in expected.items() if live.get(key) != value)
    if current is None or wrong:
        raise OllamaError(
            f"{recipe.name.short} was created, but {client.url} shows something else now: "
            f"{', '.join(wrong) or 'no such model'}. "
            "Does somebody else change the models of this server?",
            diff={"before": expected, "after": live},
        )
    return after


def _foreseen(wanted: Wanted, state: State) -> dict[str, t.Any]:
    name = state.current.name if state.current else wanted.recipe.name
    told = {"name": name.short, "full_name": name.full}
    if state.linked:
        return {**told, "digest": state.linked.digest, "size": state.linked.size}
    # Which digest a server gives to what it creates is its own affair.
    return {**told, "digest": wanted.digest, "size": None}


def _origin(recipe: Recipe, current: Installed, state: State) -> Origin:
    return Origin(
        spec=recipe.spec,
        digest=current.digest,
        gguf_sha256=(recipe.weights.sha256 or "") if recipe.weights else "",
        base_digest=(recipe.base.digest or "") if recipe.base else "",
        server_version=state.server_version,
        way=_made_by(current, state) if recipe.weights else "",
    )


def _made_by(current: Installed, state: State) -> str:
    # One that was taken over may be an upload, though a link would have been possible.
    return "link" if state.linked and state.linked.digest == current.digest else "api"

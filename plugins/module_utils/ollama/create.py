# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create a model from weights or from a base: read, decide, apply, read back. Private."""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils import gguf
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.status_file import StatusFile

from . import compare, files, link, model, plan, registry, snapshots
from .client import Client, Installed
from .errors import ApiError, NotFound, OllamaError, UnknownModel
from .model import HASHING_BYTES_PER_SECOND, Outcome, describe
from .progress import Progress
from .recipe import Base, Recipe, Weights
from .record import Origin, OriginRecord

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .names import Name
    from .store import Store

# The first release that writes the file anew on create, so that its hash tells nothing.
_REWRITES_SINCE = (0, 30)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A model to create, and how that may be done."""

    recipe: Recipe
    digest: str | None = None
    keep_previous: bool = False
    # Where a base that is missing is pulled from, and what it must be then.
    registry_mirror: str | None = None
    base_digest: str | None = None
    store: Store | None = None
    # How the weights get into the store: auto is link where that is as good, else api.
    method: t.Literal["api", "link", "auto"] = "auto"


@dataclasses.dataclass(frozen=True)
class State:
    """What was read: the model as it is, and where the record says that it came from."""

    current: Installed | None = None
    shown: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    origin: Origin | None = None
    server_version: str = ""
    recording: bool = False
    blobs_here: frozenset[str] = frozenset()
    # Every installed model's digest by the key of its name.
    installed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # What /api/show says of the base, and how it gets there if it is missing.
    base_shown: Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    base_wanted: plan.Wanted | None = None
    base_plan: plan.Plan | None = None
    # Why the base cannot be had yet; only told when nothing is done anyway.
    base_missing: str | None = None
    # The model as a link makes it, or why that is not done.
    linked: link.Linked | None = None
    declined: str | None = None

    @property
    def way(self) -> str:
        return "link" if self.linked else "api"

    @property
    def settled(self) -> Origin | None:
        """The record, if it is about the very model that is installed."""
        current, origin = self.current, self.origin
        return origin if current and origin and origin.digest == current.digest else None

    @property
    def foreign(self) -> bool:
        """Whether the model is not the one that was recorded, so that it may be the only one."""
        return self.recording and self.current is not None and self.settled is None


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


def needs_look(wanted: Wanted, state: State) -> bool:
    """Whether the list of models and the record are not enough to know that all is well."""
    settled = state.settled
    if settled is None or settled.spec != wanted.recipe.spec:
        return True
    return wanted.digest is not None and settled.digest != wanted.digest


def needs_create(wanted: Wanted, state: State) -> bool:
    """Whether the installed model is another one than the recipe's."""
    recipe, current = wanted.recipe, state.current
    if current is None:
        return True
    if wanted.digest is not None:
        return current.digest != wanted.digest
    # The digest of a link says everything, whoever made it.
    if state.linked and state.linked.digest == current.digest:
        return False
    if state.settled is not None:
        return state.settled.spec != recipe.spec
    if state.origin is not None and state.origin.intended != recipe.spec:
        return True
    # Nobody remembers where it came from, be it that a run was broken off: what can be seen of it
    # decides.
    if not _same_weights(recipe, state):
        return True
    return _live(recipe, state) != compare.wanted(recipe, state.base_shown)


def _same_weights(recipe: Recipe, state: State) -> bool:
    if recipe.adapters:
        # A server does not tell enough of an adapter.
        return False
    if recipe.weights:
        return _weights(recipe, state) in (None, recipe.weights.sha256)
    return compare.weights_of(state.shown) == compare.weights_of(state.base_shown)


def decide(wanted: Wanted, state: State) -> plan.Plan:
    """The plan for this state; Refused when the server cannot make what is expected."""
    recipe, current = wanted.recipe, state.current
    seen: dict[str, t.Any] = {}
    if current is not None:
        seen = {"name": current.name.short, "digest": current.digest, "size": current.size}
    if not needs_create(wanted, state):
        return _keep_as_it_is(seen, state)
    _check_version(recipe, state)
    _check_digest(wanted, state)
    name = seen.get("name", recipe.name.short)
    after = {"name": name, **compare.told(_sources(recipe) | _wanted(recipe, state))}
    digest = state.linked.digest if state.linked else wanted.digest
    if digest is not None:
        after["digest"] = digest
    before = compare.told(_sources_seen(recipe, state) | _live(recipe, state)) if current else {}
    return plan.Plan({**seen, **before}, after, _actions(wanted, state))


def _keep_as_it_is(seen: dict[str, t.Any], state: State) -> plan.Plan:
    # A run that was broken off may have left the name behind under which the model was proven.
    aside = _aside(state.current)
    if aside is None or state.installed.get(aside.key) != seen["digest"]:
        return plan.Plan(seen, seen)
    gone = plan.Action("delete", aside)
    return plan.Plan({**seen, plan.LEFT_OVER: aside.short}, seen, (gone,))


def _aside(current: Installed | None) -> Name | None:
    try:
        return snapshots.staged(current.name, current.digest) if current else None
    except Refused:
        # Its tag has no room for such a name.
        return None


def _wanted(recipe: Recipe, state: State) -> dict[str, t.Any]:
    return compare.wanted(recipe, state.base_shown)


def _live(recipe: Recipe, state: State) -> dict[str, t.Any]:
    return compare.live(state.shown, recipe, state.base_shown)


def _sources(recipe: Recipe) -> dict[str, t.Any]:
    """Where the model is to come from, for the diff."""
    told: dict[str, t.Any] = {}
    if recipe.weights:
        told["gguf_sha256"] = recipe.weights.sha256
    elif recipe.base:
        told["from"] = recipe.base.name.short
        told["from_digest"] = recipe.base.digest
    told["adapters"] = [adapter.sha256 for adapter in recipe.adapters]
    told["quantize"] = recipe.fields.get("quantize")
    return told


def _sources_seen(recipe: Recipe, state: State) -> dict[str, t.Any]:
    if recipe.weights:
        return {"gguf_sha256": _weights(recipe, state)}
    origin = state.settled
    parent = (state.shown.get("details") or {}).get("parent_model")
    return {"from": parent, "from_digest": origin.base_digest if origin else None}


def _weights(recipe: Recipe, state: State) -> str | None:
    """The SHA-256 of the file that the installed model was made from, or None if nobody knows."""
    if state.settled:
        return state.settled.gguf_sha256
    blob = compare.weights_of(state.shown)
    same = recipe.weights is not None and blob == recipe.weights.sha256
    return blob if same or not _rewrites(state.server_version) else None


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(number or 0) for number in found.groups()) if found else (0, 0, 0)


def _rewrites(version: str) -> bool:
    found = _numbers(version)
    # A server built from source calls itself 0.0.0.
    return found == (0, 0, 0) or found[:2] >= _REWRITES_SINCE


def _check_version(recipe: Recipe, state: State) -> None:
    required, found = recipe.fields.get("requires"), _numbers(state.server_version)
    if required and found != (0, 0, 0) and _numbers(required) > found:
        raise Refused(
            f"{recipe.name.short} requires Ollama {required}, but the server is "
            f"{state.server_version}. Raise ollama_server_image."
        )


def _check_digest(wanted: Wanted, state: State) -> None:
    """Refuse a digest that this very server is known not to give to this very recipe."""
    settled, expected = state.settled, wanted.digest
    if expected is None or settled is None or settled.spec != wanted.recipe.spec:
        return
    # A link and an upload give different digests to the same recipe.
    if (settled.way or "api") != state.way:
        return
    if settled.server_version == state.server_version and settled.digest != expected:
        raise Refused(
            f"{wanted.recipe.name.short} is expected with the digest {expected}, but this server "
            f"({state.server_version}) makes {settled.digest} of it. Nothing was changed.",
            expected=expected,
            offered=settled.digest,
        )


def _actions(wanted: Wanted, state: State) -> tuple[plan.Action, ...]:
    recipe, current = wanted.recipe, state.current
    base = state.base_plan.actions if state.base_plan else ()
    kept = plan.keep(current, wanted.keep_previous or state.foreign, state.installed)
    if state.linked:
        return (*kept, *_linking(recipe, state.linked))
    return (*base, *kept, *_uploads(recipe, state), *_creation(wanted, state))


def _linking(recipe: Recipe, linked: link.Linked) -> list[plan.Action]:
    # Under another name first: whether the server can read what was written is known only then.
    aside = snapshots.staged(recipe.name, linked.digest)
    size = linked.weights.size
    return [
        plan.Action("link", aside, digest=linked.digest, bytes_reuse=size),
        plan.Action("copy", recipe.name, source=aside, digest=linked.digest),
        plan.Action("delete", aside),
    ]


def _uploads(recipe: Recipe, state: State) -> list[plan.Action]:
    return [
        plan.Action("upload", recipe.name, digest=file.sha256, bytes_upload=file.size or 0,
                    bytes_disk=file.size or 0)
        for file in recipe.files
        if file.blob not in state.blobs_here
    ]  # fmt: skip


def _creation(wanted: Wanted, state: State) -> list[plan.Action]:
    recipe = wanted.recipe
    here = sum(file.size or 0 for file in recipe.files if file.blob in state.blobs_here)
    size = (recipe.weights.size or 0) if recipe.weights else 0
    disk = size if _rewrites(state.server_version) else 0
    if wanted.digest is None:
        return [plan.Action("create", recipe.name, bytes_reuse=here, bytes_disk=disk)]
    # Under another name first: whether it gets the digest is known only afterwards.
    aside = snapshots.staged(recipe.name, wanted.digest)
    return [
        plan.Action("create", aside, digest=wanted.digest, bytes_reuse=here, bytes_disk=disk),
        plan.Action("copy", recipe.name, source=aside, digest=wanted.digest),
        plan.Action("delete", aside),
    ]


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
    expected, live = _wanted(recipe, after), _live(recipe, after)
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

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to happen so that a model is created as wanted: from state to actions. Pure. Private."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import compare, plan, snapshots

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from . import link
    from .client import Installed
    from .names import Name
    from .recipe import Recipe
    from .record import Origin
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
    return live_of(recipe, state) != compare.wanted(recipe, state.base_shown)


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
    after = {"name": name, **compare.told(_sources(recipe) | wanted_of(recipe, state))}
    digest = state.linked.digest if state.linked else wanted.digest
    if digest is not None:
        after["digest"] = digest
    before = compare.told(_sources_seen(recipe, state) | live_of(recipe, state)) if current else {}
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


def wanted_of(recipe: Recipe, state: State) -> dict[str, t.Any]:
    """What the model is to be, as far as a server tells it."""
    return compare.wanted(recipe, state.base_shown)


def live_of(recipe: Recipe, state: State) -> dict[str, t.Any]:
    """The same of the model that was read."""
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

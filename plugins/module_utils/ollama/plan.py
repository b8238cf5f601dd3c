# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to happen so that a model is as wanted: from state to actions. Pure. Private."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import snapshots
from .client import Installed
from .manifest import Manifest
from .names import Name, is_reserved
from .registry import Place

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclasses.dataclass(frozen=True)
class Wanted:
    name: Name
    state: t.Literal["present", "latest", "absent"]
    # Where a registry model is pulled from, and whether that name is only a vehicle (a mirror's).
    source: Place
    mirrored: bool = False
    digest: str | None = None
    keep_previous: bool = False


@dataclasses.dataclass(frozen=True)
class State:
    """What was read: the model and its pull name on the server, and what the registry offers."""

    current: Installed | None = None
    at_source: Installed | None = None
    offer: Manifest | None = None
    # Of the blobs of the offer, how many bytes the server has already.
    bytes_here: Mapping[str, int] = dataclasses.field(default_factory=dict)
    loaded: bool = False
    # Another name on the server of what is wanted, if the model itself is something else.
    twin: Installed | None = None
    # Every installed model's digest by the key of its name.
    installed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # Whether a record is kept, and the digest that it remembers.
    recording: bool = False
    recorded: str | None = None

    @property
    def foreign(self) -> bool:
        """Whether the model is not the one that was recorded, so that it may be the only one."""
        current = self.current
        return self.recording and current is not None and current.digest != self.recorded


# How a plan calls a name that a run which was broken off has left behind.
LEFT_OVER = "left_over"
COUNTED = ("bytes_fetch", "bytes_reuse", "bytes_upload", "bytes_disk")


@dataclasses.dataclass(frozen=True)
class Action:
    """One step; the digest is what the name must have afterwards."""

    action: t.Literal["snapshot", "pull", "copy", "unload", "delete", "upload", "link", "create"]
    name: Name
    source: Name | None = None
    digest: str | None = None
    bytes_fetch: int = 0
    bytes_reuse: int = 0
    bytes_upload: int = 0
    # What the step needs on the disk of the store, at its peak.
    bytes_disk: int = 0

    def to_result(self) -> dict[str, t.Any]:
        counts = {name: getattr(self, name) for name in COUNTED}
        return {"action": self.action, "name": self.name.short, **counts}


@dataclasses.dataclass(frozen=True)
class Plan:
    before: Mapping[str, t.Any]
    after: Mapping[str, t.Any]
    actions: tuple[Action, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.actions)

    @property
    def replaces(self) -> bool:
        """Whether the model becomes another one, and not only what lies about is tidied up."""
        return self.changed and LEFT_OVER not in self.before

    def total(self, counted: str) -> int:
        """The sum over all steps of one of COUNTED."""
        return sum(getattr(action, counted) for action in self.actions)

    @property
    def snapshot(self) -> str | None:
        """The name under which the version that goes is kept."""
        gone = {action.name.key for action in self.actions if action.action == "delete"}
        taken = (action.name for action in self.actions if action.action == "snapshot")
        return next((name.short for name in taken if name.key not in gone), None)

    @property
    def diff(self) -> dict[str, t.Any]:
        return {"before": dict(self.before), "after": dict(self.after)}

    def to_result(self) -> dict[str, t.Any]:
        """What the module tells about the plan."""
        actions = [action.to_result() for action in self.actions]
        return {"actions": actions, **{name: self.total(name) for name in COUNTED}}


def check(wanted: Wanted) -> None:
    """Refuse what no state of the server could make possible."""
    for name in (wanted.name, wanted.source.name):
        if wanted.state != "absent" and is_reserved(name):
            raise Refused(
                f"{name.short} cannot be installed: Ollama takes the tags 'cloud' and 'local', and "
                "tags that end in '-cloud', for a switch between local and remote models."
            )


def needs_offer(wanted: Wanted, current: Installed | None, twin: Installed | None = None) -> bool:
    """Whether the registry has to be asked; what is on the server already needs nobody."""
    if wanted.state == "absent" or twin is not None:
        return False
    if wanted.state == "latest" or current is None:
        return True
    return wanted.digest is not None and current.digest != wanted.digest


def decide(wanted: Wanted, state: State) -> Plan:
    """The plan for this state; Refused when the registry does not offer what is expected."""
    if wanted.state == "absent":
        return _remove(state)
    if state.offer is None:
        return _copy(wanted, state) or _keep_as_it_is(wanted, state)
    if wanted.digest is not None and state.offer.digest != wanted.digest:
        raise Refused(
            f"{wanted.name.short} is expected with the digest {wanted.digest}, but "
            f"{wanted.source.url} offers {state.offer.digest}. Nothing was changed.",
            expected=wanted.digest,
            offered=state.offer.digest,
        )
    if state.current is not None and state.current.digest == state.offer.digest:
        return _keep_as_it_is(wanted, state)
    return _fetch(wanted, state, state.offer)


def _keep_as_it_is(wanted: Wanted, state: State) -> Plan:
    seen, vehicle = _seen(state.current), wanted.source.name
    # A run that was broken off may have left the mirror's name behind.
    if not wanted.mirrored or vehicle.key == wanted.name.key or vehicle.key not in state.installed:
        return Plan(seen, seen)
    return Plan({**seen, LEFT_OVER: vehicle.short}, seen, (Action("delete", vehicle),))


def _copy(wanted: Wanted, state: State) -> Plan | None:
    """Have the wanted version again that is on the server under another name, a kept one say."""
    twin, vehicle = state.twin, wanted.source.name
    if twin is None:
        return None
    kept = keep(state.current, wanted.keep_previous or state.foreign, state.installed)
    copied = Action("copy", wanted.name, source=twin.name, digest=twin.digest)
    is_left_over = wanted.mirrored and twin.name.key == vehicle.key
    gone = (Action("delete", vehicle),) if is_left_over else ()
    after = {**_seen(twin), "name": _spelling(wanted.name, state)}
    return Plan(_seen(state.current), after, (*kept, copied, *gone))


def _fetch(wanted: Wanted, state: State, offer: Manifest) -> Plan:
    name, pulled = wanted.name, wanted.source.name
    here = sum(state.bytes_here.get(digest, 0) for digest in offer.blobs)
    missing = sum(offer.blobs.values()) - here
    pull = Action("pull", pulled, digest=offer.digest, bytes_fetch=missing, bytes_reuse=here,
                  bytes_disk=missing)  # fmt: skip
    kept = keep(state.current, wanted.keep_previous or state.foreign, state.installed)
    guard = () if kept or pulled.key != name.key else _guard(state)
    actions = [*kept, *guard, pull, *(Action("delete", step.name) for step in guard)]
    if pulled.key != name.key:
        actions.append(Action("copy", name, source=pulled, digest=offer.digest))
        # A mirror's name is a vehicle and goes; another registry's may be somebody's model.
        if wanted.mirrored or state.at_source is None:
            actions.append(Action("delete", pulled))
    after = {"name": _spelling(name, state), "digest": offer.digest, "size": offer.size}
    return Plan(_seen(state.current), after, tuple(actions))


def _guard(state: State) -> tuple[Action, ...]:
    """A way back while a pull replaces the model under its very own name."""
    try:
        return keep(state.current, True, state.installed)
    except Refused:
        # Its tag has no room for another name.
        return ()


def keep(
    current: Installed | None, wanted: bool, installed: Mapping[str, str]
) -> tuple[Action, ...]:
    """The step that keeps the version that goes, unless it is kept already."""
    if current is None or not wanted:
        return ()
    name = snapshots.previous(current.name, current.digest)
    if installed.get(name.key) == current.digest:
        return ()
    return (Action("snapshot", name, source=current.name, digest=current.digest),)


def _remove(state: State) -> Plan:
    if state.current is None:
        return Plan({}, {})
    name = state.current.name
    # The server would keep a deleted model in memory until its time is up.
    steps: Iterable[Action] = (Action("unload", name), Action("delete", name))
    actions = tuple(step for step in steps if step.action == "delete" or state.loaded)
    return Plan(_seen(state.current), {}, actions)


def _spelling(name: Name, state: State) -> str:
    # The server folds the letters of a name onto those of the model that is there already.
    return state.current.name.short if state.current else name.short


def _seen(model: Installed | None) -> dict[str, t.Any]:
    if model is None:
        return {}
    return {"name": model.name.short, "digest": model.digest, "size": model.size}

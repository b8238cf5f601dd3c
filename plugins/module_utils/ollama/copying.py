# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give a model another name: read, decide, apply, read back. Private."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import names, snapshots
from .errors import OllamaError
from .model import describe

if t.TYPE_CHECKING:
    from .client import Client, Installed


@dataclasses.dataclass(frozen=True)
class Wanted:
    source: names.Name
    destination: names.Name
    keep_previous: bool = False


@dataclasses.dataclass(frozen=True)
class State:
    """What has the names now."""

    source: Installed | None
    destination: Installed | None = None
    # What has the name under which the destination's present version would be kept.
    previous: Installed | None = None


@dataclasses.dataclass(frozen=True)
class Copy:
    """One step; the digest is what the name must have afterwards."""

    source: names.Name
    name: names.Name
    digest: str


@dataclasses.dataclass(frozen=True)
class Plan:
    before: Installed | None
    after: Installed
    copies: tuple[Copy, ...] = ()
    previous: names.Name | None = None

    @property
    def changed(self) -> bool:
        return bool(self.copies)

    @property
    def diff(self) -> dict[str, t.Any]:
        return {"before": _seen(self.before), "after": _seen(self.after)}


def check(wanted: Wanted) -> None:
    """Refuse names between which no server can copy."""
    for option, name in (("source", wanted.source), ("destination", wanted.destination)):
        if names.is_reserved(name):
            raise Refused(
                f"{option} {name.short} cannot be used: Ollama takes the tags 'cloud' and 'local', "
                "and tags that end in '-cloud', for a switch between local and remote models."
            )


def read(client: Client, wanted: Wanted) -> State:
    installed = {model.name.key: model for model in client.tags()}
    destination = installed.get(wanted.destination.key)
    kept = _kept(wanted, destination)
    return State(
        source=installed.get(wanted.source.key),
        destination=destination,
        previous=installed.get(kept.key) if kept else None,
    )


def decide(wanted: Wanted, state: State) -> Plan:
    """The copies to make; Refused when there is nothing to copy, or no place for what was."""
    source, destination = state.source, state.destination
    if source is None:
        # The server would say so too, but leave an empty folder for the destination behind.
        raise Refused(
            f"source {wanted.source.short} is not installed on this server, so it cannot be "
            "copied. Install it first, or check the spelling of the name and the tag."
        )
    if destination is not None and destination.digest == source.digest:
        return Plan(destination, destination)
    # The server folds the letters of a name onto those of the model that is there already.
    name = destination.name if destination else wanted.destination
    after = dataclasses.replace(source, name=name)
    copy = Copy(source.name, name, source.digest)
    kept = _kept(wanted, destination)
    if destination is None or kept is None:
        return Plan(destination, after, (copy,))
    if state.previous is None:
        return Plan(destination, after, (Copy(name, kept, destination.digest), copy), kept)
    if state.previous.digest != destination.digest:
        raise Refused(
            f"{name.short} cannot be kept as {kept.short}: that name is taken by another model, "
            f"with the digest {state.previous.digest}. Remove or rename it, or set "
            "keep_previous=false."
        )
    return Plan(destination, after, (copy,), kept)


def ensure(client: Client, wanted: Wanted, *, check_mode: bool) -> tuple[Plan, dict[str, t.Any]]:
    """The plan, and the destination as it is now or in check mode would be."""
    check(wanted)
    plan = decide(wanted, read(client, wanted))
    if not plan.changed:
        return plan, describe(plan.after)
    if check_mode:
        # When the server would write the manifest is not known beforehand.
        return plan, describe(dataclasses.replace(plan.after, modified_at=""))
    for step in plan.copies:
        client.copy(step.source, step.name)
    installed = {model.name.key: model for model in client.tags()}
    for step in plan.copies:
        found = installed.get(step.name.key)
        if found is None or found.digest != step.digest:
            raise OllamaError(
                f"{step.name.short} should have the digest {step.digest} now, but has "
                f"{found.digest if found else None}. "
                "Does somebody else change the models of this server?"
            )
    return plan, describe(installed[wanted.destination.key])


def _kept(wanted: Wanted, destination: Installed | None) -> names.Name | None:
    if destination is None or not wanted.keep_previous:
        return None
    return snapshots.previous(destination.name, destination.digest)


def _seen(model: Installed | None) -> dict[str, t.Any]:
    if model is None:
        return {}
    return {"name": model.name.short, "digest": model.digest, "size": model.size}

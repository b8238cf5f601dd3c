# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring one model into the wanted state: read, decide, apply, read back. Private."""

from __future__ import annotations

import dataclasses
import typing as t

from . import plan, registry
from .client import Client, Installed
from .errors import OllamaError, Silent
from .progress import Progress, StatusFile

# Slower than any disk worth the name: how fast a server hashes what it fetched, in silence.
HASHING_BYTES_PER_SECOND = 50_000_000


@dataclasses.dataclass(frozen=True)
class Outcome:
    plan: plan.Plan
    model: dict[str, t.Any] | None


def ensure(
    client: Client, wanted: plan.Wanted, *, check_mode: bool, status_file: str | None = None
) -> Outcome:
    """The model as wanted, or in check mode the exact prediction of it."""
    plan.check(wanted)
    state = read(client, wanted)
    planned = plan.decide(wanted, state)
    if not planned.changed:
        return Outcome(planned, describe(state.current) if state.current else None)
    if check_mode:
        foreseen = {**planned.after, "full_name": wanted.name.full}
        return Outcome(planned, foreseen if planned.after else None)
    apply(client, wanted, planned, StatusFile(status_file))
    found = client.find(wanted.name)
    _confirm(wanted, planned, found)
    return Outcome(planned, describe(found) if found else None)


def read(client: Client, wanted: plan.Wanted) -> plan.State:
    """Everything the decision needs, and nothing it does not: the registry only if it matters."""
    installed = {model.name.key: model for model in client.tags()}
    current = installed.get(wanted.name.key)
    if not plan.needs_offer(wanted, current):
        loaded = wanted.state == "absent" and current is not None and _is_loaded(client, current)
        return plan.State(current=current, loaded=loaded)
    offer = registry.fetch(wanted.source, version=client.version(), timeout=client.timeout)
    unneeded = current is not None and current.digest == offer.digest
    here = () if unneeded else (digest for digest in offer.blobs if client.has_blob(digest))
    return plan.State(
        current=current,
        at_source=installed.get(wanted.source.name.key),
        offer=offer,
        blobs_here=frozenset(here),
    )


def apply(client: Client, wanted: plan.Wanted, planned: plan.Plan, status_file: StatusFile) -> None:
    """Carry out the actions; the wanted name changes only in the last possible moment."""
    for action in planned.actions:
        if action.action == "pull":
            _pull(client, wanted, action, status_file)
        elif action.action == "copy" and action.source:
            client.copy(action.source, action.name)
        elif action.action == "unload":
            client.unload(action.name)
        elif action.action == "delete":
            client.delete(action.name)


def _pull(
    client: Client, wanted: plan.Wanted, action: plan.Action, status_file: StatusFile
) -> None:
    progress = Progress(action.bytes_fetch)
    patience = action.bytes_fetch / HASHING_BYTES_PER_SECOND
    lines = client.pull(action.name, insecure=wanted.source.insecure, patience=patience)
    for line in lines:
        progress.feed(line)
        status_file.update(wanted.name.short, progress)
        if progress.stalled_for > client.timeout:
            raise Silent(
                f"The pull of {action.name.short} got no byte for {client.timeout:g} s. Is "
                f"{wanted.source.url} reachable from the host? What was fetched is kept."
            )
    pulled = client.find(action.name)
    if pulled is None or pulled.digest != action.digest:
        if pulled is not None and wanted.mirrored:
            client.delete(action.name)
        raise OllamaError(
            f"{action.name.short} was pulled with the digest {pulled.digest if pulled else None}, "
            f"but {wanted.source.url} had offered {action.digest} a moment before. Run it again; "
            "if that does not help, something between the host and the registry changes manifests."
        )


def _is_loaded(client: Client, model: Installed) -> bool:
    return any(entry.get("name") == model.name.short for entry in client.running())


def _confirm(wanted: plan.Wanted, planned: plan.Plan, found: Installed | None) -> None:
    expected, actual = planned.after.get("digest"), found.digest if found else None
    if actual != expected:
        raise OllamaError(
            f"{wanted.name.short} should have the digest {expected} now, but has {actual}. "
            "Does somebody else change the models of this server?"
        )


def describe(model: Installed) -> dict[str, t.Any]:
    """An installed model in the words of the modules' results."""
    details = model.details
    described = {
        "name": model.name.short,
        "full_name": model.name.full,
        "digest": model.digest,
        "size": model.size,
        "modified_at": model.modified_at,
        "capabilities": list(model.capabilities) if model.capabilities is not None else None,
    }
    for key in (
        "format",
        "family",
        "parameter_size",
        "quantization_level",
        "context_length",
        "embedding_length",
    ):
        described[key] = details.get(key) or None
    return described

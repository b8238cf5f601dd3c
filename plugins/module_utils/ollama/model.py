# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring one model into the wanted state: read, decide, apply, read back. Private."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import plan, registry
from .client import Client, Installed
from .errors import OllamaError, RegistryError, Silent
from .progress import Progress, StatusFile
from .record import Origin, OriginRecord

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .manifest import Manifest
    from .names import Name
    from .store import Store

# Slower than any disk worth the name: how fast a server hashes what it fetched, in silence.
HASHING_BYTES_PER_SECOND = 50_000_000
# Seconds to wait for a registry whose answer changes nothing.
PATIENCE = 10


@dataclasses.dataclass(frozen=True)
class Outcome:
    plan: plan.Plan
    model: dict[str, t.Any] | None
    drift: dict[str, t.Any] | None = None
    upstream: dict[str, t.Any] | None = None
    # Which way the weights went into the store, and why not the other one.
    way: str | None = None
    way_reason: str | None = None
    warnings: tuple[str, ...] = ()


def ensure(
    client: Client,
    wanted: plan.Wanted,
    record: OriginRecord | None = None,
    *,
    check_mode: bool,
    check_upstream: bool = False,
    store: Store | None = None,
    status_file: str | None = None,
) -> Outcome:
    """The model as wanted, or in check mode the exact prediction of it."""
    plan.check(wanted)
    check_folder(record)
    state = read(client, wanted, record, store)
    planned = plan.decide(wanted, state)
    check_disk(planned, store)
    outcome = _outcome(wanted, state, planned)
    if check_upstream and state.current and wanted.state != "absent":
        outcome = dataclasses.replace(outcome, upstream=_upstream(client, wanted, state))
    if planned.changed and not check_mode:
        intend(record, wanted.name, planned.after.get("digest"))
        apply(client, wanted, planned, StatusFile(status_file))
        found = client.find(wanted.name)
        _confirm(wanted, planned, found)
        outcome = dataclasses.replace(outcome, model=describe(found) if found else None)
        state = dataclasses.replace(state, current=found)
    if record and not check_mode:
        _remember(record, wanted, state, changed=planned.replaces)
    return outcome


def _outcome(wanted: plan.Wanted, state: plan.State, planned: plan.Plan) -> Outcome:
    if planned.replaces:
        foreseen = {**planned.after, "full_name": wanted.name.full} if planned.after else None
        return Outcome(planned, foreseen, drift_of(state.current, state.recorded))
    model = describe(state.current) if state.current else None
    drift = drift_of(state.current, state.recorded)
    if drift is None or _agreed(wanted, state.current):
        return Outcome(planned, model)
    warning = (
        f"{wanted.name.short} was changed by somebody else: it has the digest {drift['present']}, "
        f"and had {drift['recorded']}. It is left as it is. To have the old one again, give that "
        "digest; to agree, remove the record."
    )
    return Outcome(planned, model, drift, warnings=(warning,))


def _agreed(wanted: plan.Wanted, current: Installed | None) -> bool:
    """Whether an unchanged model is what it should be, whoever brought it."""
    named = current is not None and wanted.digest == current.digest
    return named or wanted.state == "latest"


def drift_of(current: Installed | None, recorded: str | None) -> dict[str, t.Any] | None:
    """What somebody else made of the model, or None if nobody did."""
    if current is None or recorded is None or current.digest == recorded:
        return None
    return {"recorded": recorded, "present": current.digest}


def intend(record: OriginRecord | None, name: Name, what: str | None) -> None:
    """Note what is about to be made of a recorded model: broken off, nobody else is to blame."""
    origin = record.read(name) if record else None
    if record and origin and what:
        record.write(name, dataclasses.replace(origin, intended=what))


def check_folder(record: OriginRecord | None) -> None:
    if record and not record.has_folder:
        raise Refused(f"The folder of the record {record.path} does not exist.")


def check_disk(planned: plan.Plan, store: Store | None) -> None:
    """Refuse what the disk of the store has no room for, before the first byte."""
    needed = planned.total("bytes_disk")
    if store is None or not needed:
        return
    free = store.disk().free
    if needed > free:
        raise Refused(
            f"The disk of {store.root} has {free / 1e9:.1f} GB free, but {needed / 1e9:.1f} GB are "
            "needed. Free space, or remove a model first (ollama_model_prune shows what can go)."
        )


def _upstream(client: Client, wanted: plan.Wanted, state: plan.State) -> dict[str, t.Any]:
    """What the registry offers now beside what is installed; a silent registry is no failure."""
    offer, trouble = state.offer, None
    if offer is None:
        try:
            offer = _offer(client, wanted, timeout=min(client.timeout, PATIENCE))
        except RegistryError as error:
            trouble = str(error)
    digest = offer.digest if offer else None
    present = state.current.digest if state.current else None
    return {"digest": digest, "differs": bool(digest) and digest != present, "error": trouble}


def _offer(client: Client, wanted: plan.Wanted, *, timeout: float | None = None) -> Manifest:
    limit = timeout or client.timeout
    return registry.fetch(wanted.source, version=client.version(), timeout=limit)


def _remember(
    record: OriginRecord, wanted: plan.Wanted, state: plan.State, *, changed: bool
) -> None:
    """Keep what the model is now, unless somebody else made it so and nobody agreed."""
    current = state.current
    if current is None:
        record.forget()
        return
    agreed = changed or _agreed(wanted, current)
    known = record.read(wanted.name)
    if known is None or (current.digest != known.digest and (agreed or _intended(known, current))):
        record.write(wanted.name, Origin(f"registry {wanted.source.name.key}", current.digest))


def read(
    client: Client,
    wanted: plan.Wanted,
    record: OriginRecord | None = None,
    store: Store | None = None,
) -> plan.State:
    """Everything the decision needs, and nothing it does not: the registry only if it matters."""
    origin = record.read(wanted.name) if record else None
    installed = {model.name.key: model for model in client.tags()}
    current = installed.get(wanted.name.key)
    state = plan.State(
        current=current,
        installed={key: model.digest for key, model in installed.items()},
        recording=record is not None,
        recorded=_recorded(origin, current),
    )
    twin = _twin(wanted, current, installed.values())
    if not plan.needs_offer(wanted, current, twin):
        loaded = wanted.state == "absent" and current is not None and _is_loaded(client, current)
        return dataclasses.replace(state, loaded=loaded, twin=twin)
    offer = _offer(client, wanted)
    needed = {} if current is not None and current.digest == offer.digest else offer.blobs
    return dataclasses.replace(
        state,
        at_source=installed.get(wanted.source.name.key),
        offer=offer,
        bytes_here=_bytes_here(client, needed, store),
    )


def _twin(
    wanted: plan.Wanted, current: Installed | None, installed: Iterable[Installed]
) -> Installed | None:
    """The model that has the pinned digest already, under another name: a kept version, say."""
    digest = wanted.digest
    if wanted.state != "present" or digest is None or (current and current.digest == digest):
        return None
    twins = [found for found in installed if found.digest == digest]
    return min(twins, key=lambda found: found.name.key, default=None)


def _recorded(origin: Origin | None, current: Installed | None) -> str | None:
    """The digest that the model should have as far as anybody remembers."""
    if origin and current and _intended(origin, current):
        return current.digest
    return origin.digest if origin else None


def _intended(origin: Origin, current: Installed) -> bool:
    """Whether the model is what a run of ours made that was broken off before it said so."""
    return origin.intended == current.digest


def _bytes_here(client: Client, blobs: Mapping[str, int], store: Store | None) -> dict[str, int]:
    """How much of each blob the server has; of half a blob only the store can tell."""
    here: dict[str, int] = {}
    for digest, size in blobs.items():
        if client.has_blob(digest):
            here[digest] = size
        elif store is not None:
            here[digest] = min(size, store.partial_bytes(digest))
    return here


def apply(client: Client, wanted: plan.Wanted, planned: plan.Plan, status_file: StatusFile) -> None:
    """Carry out the actions; the wanted name changes only in the last possible moment."""
    for action in planned.actions:
        if action.action == "pull":
            try:
                _pull(client, wanted, action, status_file)
            except OllamaError:
                _put_back(client, planned)
                raise
        else:
            step(client, action)


def _put_back(client: Client, planned: plan.Plan) -> None:
    """Have the old version under the name again, if a pull has replaced it by a wrong one."""
    for action in planned.actions:
        source = action.source
        if action.action != "snapshot" or source is None:
            continue
        # What went wrong is raised by the caller; a server that is gone now is the same trouble.
        with contextlib.suppress(OllamaError):
            now = client.find(source)
            if now is None or now.digest != action.digest:
                client.copy(action.name, source)
            if planned.snapshot is None:
                client.delete(action.name)


def step(client: Client, action: plan.Action) -> None:
    """Carry out one of the actions that take no time."""
    if action.action in ("copy", "snapshot") and action.source:
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
                f"{wanted.source.url} reachable from the host? What was fetched is kept: run it "
                "again, or raise the option timeout."
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

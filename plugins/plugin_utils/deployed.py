# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What came of a host's models: what the lock may be told, and what a person should know. Pure.

Private. Everything is as the modules return it; a result of a loop has its spec as C(item).
"""

from __future__ import annotations

import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.ollama import names, snapshots

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Result = t.Mapping[str, t.Any]
ALL = "all"


def is_to_move(spec: Result, update: str | Sequence[str]) -> bool:
    """Whether somebody asked for another version of this model than the locked one.

    On a command line names are separated by commas.
    """
    asked = _asked(update)
    if ALL in asked or (spec.get("folder") or "") in asked:
        return True
    return _key(spec["name"]) in {_key(name) for name in asked}


def unknown(specs: Sequence[Result], update: str | Sequence[str]) -> list[str]:
    """The names that somebody asked for, and that none of the models has."""
    asked = [name for name in _asked(update) if name != ALL]
    return [name for name in asked if not any(is_to_move(spec, [name]) for spec in specs)]


def _asked(update: str | Sequence[str]) -> list[str]:
    said = update.split(",") if isinstance(update, str) else update
    return [name.strip() for name in said if name.strip()]


def to_move(specs: Sequence[Result], update: str | Sequence[str]) -> list[Result]:
    """The specs of the models to move, in their order, which has bases first.

    A model on a base that moves becomes another one too, so what is locked of it has to follow.
    """
    moving: dict[str, Result] = {}
    for spec in specs:
        base = spec["source"]["from"]
        if is_to_move(spec, update) or (base and _key(base) in moving):
            moving[_key(spec["name"])] = spec
    return list(moving.values())


def _key(name: str) -> str:
    return names.parse(name).key


def lock_entries(
    results: Sequence[Result],
    *,
    files: Sequence[Result] = (),
    probes: Sequence[Result] = (),
    installed: Sequence[Result] = (),
    host: str = "",
    update: str | Sequence[str] = (),
) -> list[dict[str, t.Any]]:
    """The models that have answered, as the lock wants to know them.

    What is locked already and comes from a registry is left out: its manifest need not be read.
    """
    answered = {
        _key(probe["item"]["name"]): probe["probe"]["digest"]
        for probe in probes
        if probe.get("probe")
    }
    manifests = {model["digest"]: model.get("manifest") for model in installed}
    by_name = {result["item"]["name"]: result for result in files}
    found = []
    for result in results:
        spec, model = result["item"], result.get("model") or {}
        if not model or answered.get(_key(spec["name"])) != model["digest"]:
            continue
        entry = {"name": spec["name"], "host": host, "digest": model["digest"]}
        if spec["source"]["registry"]:
            raw = manifests.get(model["digest"])
            if raw and (not spec["lock"] or is_to_move(spec, update)):
                found.append({**entry, "registry": spec["source"]["registry"], "manifest": raw})
        elif result.get("recorded") and (
            result["recorded"]["base_digest"] or spec["source"]["gguf"]
        ):
            found.append({**entry, **_created(spec, result, by_name.get(spec["name"], {}))})
    return found


def _created(spec: Result, result: Result, file: Result) -> dict[str, t.Any]:
    recorded = result["recorded"]
    way = recorded["way"] or "api"
    made = {
        "spec": recorded["spec"],
        "import_method": way,
        "server_version": recorded["server_version"] if way == "api" else None,
    }
    made = {key: value for key, value in made.items() if value}
    if spec["source"]["from"]:
        return {**made, "from": {"name": spec["source"]["from"], "digest": recorded["base_digest"]}}
    said = {
        **{key: spec["source"]["gguf"][key] for key in ("repo", "url", "file")},
        "commit": file.get("commit"),
        "sha256": file.get("sha256") or recorded["gguf_sha256"],
        "size": file.get("size") or spec["source"]["gguf"]["size"],
    }
    return {**made, "gguf": {key: value for key, value in said.items() if value}}


def notes(results: Sequence[Result], installed: Iterable[Result] = ()) -> list[str]:
    """What nobody asked for and everybody should know, a sentence each."""
    said: list[str] = []
    for result in results:
        said += _about(str(result["item"]["name"]), result)
    return said + _about_others(results, installed)


def _about(name: str, result: Result) -> t.Iterator[str]:
    drift, upstream = result.get("drift"), result.get("upstream")
    if drift:
        yield (
            f"{name} was changed by somebody else: it had the digest {drift['present'][:12]}, not "
            f"{drift['recorded'][:12]}."
        )
    if result.get("snapshot"):
        yield f"What {name} was before is kept as {result['snapshot']}."
    if result.get("import_reason"):
        yield f"{name}: {result['import_reason']}"
    if upstream and upstream["differs"]:
        yield (
            f"{name}: the registry has another version now ({upstream['digest'][:12]}). It stays "
            "as it is; playbooks/models.yml with models_update takes it."
        )


def _about_others(results: Sequence[Result], installed: Iterable[Result]) -> list[str]:
    wanted = {_key(result["item"]["name"]) for result in results}
    wanted |= {
        _key(result["item"]["source"]["from"])
        for result in results
        if result["item"]["source"]["from"]
    }
    others = [names.parse(model["name"]) for model in installed]
    unmanaged = sorted(
        name.short for name in others if name.key not in wanted and not _is_kept(name, wanted)
    )
    if not unmanaged:
        return []
    return [f"Not in ollama_models_list, left alone: {', '.join(unmanaged)}."]


def _is_kept(name: names.Name, wanted: set[str]) -> bool:
    origin = snapshots.origin_of(name)
    return origin is not None and origin.key in wanted

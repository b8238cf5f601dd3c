# SPDX-License-Identifier: GPL-3.0-or-later
"""`lab status`: what there is and what it takes of the disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lab import build, docker, engine, packages, state
from lab.names import LABEL, PREFIX

_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([\d.]+) ?([kMGT]?B)")


def status() -> dict[str, Any]:
    version = engine.version()
    known = state.read()
    result: dict[str, Any] = {
        "engine": {
            "version": version,
            "started_by_lab": "engine" in known,
            "installed_by_lab": known.get("packages", {}).get(engine.PURPOSE, []),
        },
        "packages_of_lab": known.get("packages", {}),
        "images": [],
        "containers": [],
        "volumes": [],
    }
    if version:
        usage = json.loads(docker.docker("system", "df", "--verbose", "--format", "{{json .}}"))
        result["images"] = _images()
        result["containers"] = _containers(usage)
        result["volumes"] = _volumes(usage)
    taken = {
        kind: sum(x["bytes"] for x in result[kind]) for kind in ("images", "containers", "volumes")
    }
    mine = [name for names in known.get("packages", {}).values() for name in names]
    taken["packages"] = packages.installed_bytes(mine) if mine else 0
    taken["cache"] = folder_bytes(state.LOCAL)
    result["disk"] = {**taken, "total": sum(taken.values())}
    return result


def parse_size(text: str) -> int:
    """The engine's human-readable size as bytes, as far as it can be known."""
    match = _SIZE.match(text)
    return round(float(match[1]) * _UNITS[match[2]]) if match else 0


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def _images() -> list[dict[str, Any]]:
    """Our images, each with what it adds to its parent."""
    names = sorted(docker.images())
    if not names:
        return []
    sizes = docker.docker("image", "inspect", "--format", "{{.Size}}", *names).split()
    full = dict(zip(names, map(int, sizes), strict=True))
    current = {build.tag(name): image for name, image in build.IMAGES.items()}

    def added(name: str) -> int:
        image = current.get(name)
        parent = image.parent if image and not image.standalone else None
        return full[name] - full.get(build.tag(parent), 0) if parent else full[name]

    return [{"name": name, "current": name in current, "bytes": added(name)} for name in names]


def _containers(usage: dict[str, Any]) -> list[dict[str, Any]]:
    sizes = {entry["Names"]: parse_size(entry["Size"]) for entry in usage["Containers"] or []}
    return [
        {"name": c.name, "state": c.state, "image": c.image, "bytes": sizes.get(c.name, 0)}
        for c in sorted(docker.containers().values(), key=lambda c: c.name)
    ]


def _volumes(usage: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": entry["Name"], "bytes": parse_size(entry["Size"])}
        for entry in usage["Volumes"] or []
        if entry["Name"].startswith(PREFIX) or f"{LABEL}=" in entry["Labels"]
    ]

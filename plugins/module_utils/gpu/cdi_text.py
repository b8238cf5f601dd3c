# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a CDI specification's text offers, and how two of them differ. Private."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# Names of the driver's libraries end in its version; versions of interfaces are shorter.
_DRIVER = re.compile(r"\.so\.(\d{3,}\.\d+(?:\.\d+)*)")
_KIND = re.compile(r"""^["']?kind["']?\s*:\s*["']?([\w.-]+/[\w.-]+)""", re.MULTILINE)
_ENTRY = re.compile(r"[A-Za-z]\w*:(\s|$)")
_HARDWARE = ("GPU-", "MIG-")
# Of daemons and displays that may start after the file was written at boot. CUDA needs none of it.
_LATE = (
    "/nvidia-persistenced/socket",
    "/nvidia-fabricmanager/socket",
    "/dev/nvidia-modeset",
)

Lines = deque[tuple[int, str]]


@dataclass(frozen=True)
class Offer:
    """The part of a specification that says what it is and what it gives."""

    kind: str | None = None
    version: str | None = None
    devices: tuple[str, ...] = ()
    # Major and minor number of each node whose numbers the text says.
    nodes: dict[str, tuple[int, int]] = field(default_factory=dict)
    driver: str | None = None


def parse(text: str) -> Offer:
    """What the text offers; of a text in another form than NVIDIA's only kind and driver."""
    spec = _document(text)
    driver = _DRIVER.search(text)
    kind = _KIND.search(text)
    return Offer(
        kind=spec.get("kind") or (kind[1] if kind else None),
        version=spec.get("cdiVersion"),
        devices=tuple(str(device.get("name")) for device in _dicts(spec.get("devices"))),
        nodes=dict(_nodes(spec)),
        driver=driver[1] if driver else None,
    )


def first_document(text: str) -> str:
    """The first of the specifications that nvidia-ctk writes one after the other.

    With some of its features on it writes a file for each, but all of them to one standard output.
    """
    if text.startswith("{"):
        try:
            _, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            return text
        return text[:end]
    before, separator, _ = text.partition("\n---\n")
    return before + "\n" if separator else text


def differences(present: str, fresh: str) -> list[str]:
    """Why the present text is not the fresh one; empty when it is, but for what comes late."""
    if present.rstrip("\n") == fresh.rstrip("\n") or _lacks_only_late(present, fresh):
        return []
    old, new = parse(present), parse(fresh)
    return [*_device_reasons(old, new), *_other_reasons(old, new)] or [
        "differs from what nvidia-ctk writes now"
    ]


def _lacks_only_late(present: str, fresh: str) -> bool:
    old, new = _document(present), _document(fresh)
    # The other way round, what is in the file and no longer there keeps containers from starting.
    came = _late(new) - _late(old)
    return bool(came) and old == _without(new, came)


def _late(spec: dict[str, Any]) -> set[str]:
    edits = spec.get("containerEdits")
    paths = (_path(entry) for entries in _edits(edits).values() for entry in _dicts(entries))
    return {path for path in paths if path.endswith(_LATE)}


def _without(spec: dict[str, Any], paths: set[str]) -> dict[str, Any]:
    """The specification without the nodes and mounts of these paths."""
    edits = {
        kind: [entry for entry in entries if _path(entry) not in paths]
        if isinstance(entries, list)
        else entries
        for kind, entries in _edits(spec.get("containerEdits")).items()
    }
    return {**spec, "containerEdits": edits}


def _edits(edits: object) -> dict[str, Any]:
    return edits if isinstance(edits, dict) else {}


def _path(entry: object) -> str:
    """The path on the host of a node or a mount."""
    said = (entry.get("hostPath") or entry.get("path")) if isinstance(entry, dict) else None
    return str(said or "")


def _device_reasons(old: Offer, new: Offer) -> list[str]:
    gone = [name for name in old.devices if name not in new.devices]
    come = [name for name in new.devices if name not in old.devices]
    # A GPU has a name by its number, too, which says less.
    if any(name.startswith(_HARDWARE) for name in gone + come):
        gone, come = (
            [name for name in names if name.startswith(_HARDWARE)] for names in (gone, come)
        )
    return [f"lists {name}, which is not there" for name in gone] + [f"lacks {n}" for n in come]


def _other_reasons(old: Offer, new: Offer) -> Iterator[str]:
    if old.driver and new.driver and old.driver != new.driver:
        yield f"was made for driver {old.driver}, now it is {new.driver}"
    for path in sorted(set(old.nodes) & set(new.nodes)):
        for number, was, now in zip(
            ("major", "minor"), old.nodes[path], new.nodes[path], strict=True
        ):
            if was != now:
                yield f"{path} has {number} number {was} in the file and {now} on the host"
    if old.version != new.version and old.version and new.version:
        yield f"has CDI version {old.version}, nvidia-ctk now writes {new.version}"


def _nodes(spec: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    for holder in (spec, *_dicts(spec.get("devices"))):
        edits = holder.get("containerEdits")
        for node in _dicts(edits.get("deviceNodes") if isinstance(edits, dict) else None):
            # Zero is left out.
            numbers = str(node.get("major") or 0), str(node.get("minor") or 0)
            if numbers[0] != "0" and all(number.isdecimal() for number in numbers):
                yield str(node.get("path")), (int(numbers[0]), int(numbers[1]))


def _dicts(value: object) -> list[dict[str, Any]]:
    """The objects of a list, whatever else it is."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


# --- the YAML that NVIDIA writes: blocks, plain and quoted scalars, nothing else -----------------


def _yaml(text: str) -> Any:
    lines: Lines = deque()
    for line in text.splitlines():
        content = line.strip()
        if content and content != "---" and not content.startswith("#"):
            lines.append((len(line) - len(line.lstrip()), content))
    found = _block(lines) if lines else None
    if lines:
        raise ValueError(f"not understood: {lines[0][1]}")
    return found


def _block(lines: Lines) -> Any:
    indent, content = lines[0]
    return _list(lines, indent) if content.startswith("- ") else _mapping(lines, indent)


def _list(lines: Lines, indent: int) -> list[Any]:
    items: list[Any] = []
    while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
        content = lines.popleft()[1]
        item = content[1:].lstrip()
        if _ENTRY.match(item):
            # The item is a mapping, and its first entry stands behind the dash.
            lines.appendleft((indent + len(content) - len(item), item))
            items.append(_block(lines))
        else:
            items.append(_scalar(item))
    return items


def _mapping(lines: Lines, indent: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while lines and lines[0][0] == indent and not lines[0][1].startswith("- "):
        key, colon, value = lines.popleft()[1].partition(":")
        if not colon:
            raise ValueError(f"not understood: {key}")
        found[_scalar(key)] = _scalar(value.strip()) if value.strip() else _nested(lines, indent)
    return found


def _nested(lines: Lines, indent: int) -> Any:
    """What belongs to a key without a value; a list may stand as far left as its key."""
    if not lines:
        return None
    column, content = lines[0]
    belongs = column > indent or (column == indent and content.startswith("- "))
    return _block(lines) if belongs else None


def _scalar(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text

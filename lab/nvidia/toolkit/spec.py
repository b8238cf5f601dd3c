# SPDX-License-Identifier: GPL-3.0-or-later
"""The CDI specification of the pretended GPUs, and what of it a reader has to understand."""

from __future__ import annotations

import json
import re
from typing import Any

from lab.nvidia.toolkit import driver
from lab.nvidia.toolkit.driver import SMI, TABLE, Gpu, Node

#: The real program writes the lowest version that has all it needs.
VERSION = "0.5.0"
STRATEGIES = ("index", "uuid", "type-index")
ENV = ("NVIDIA_VISIBLE_DEVICES=void",)
#: What nvidia-smi needs in a container; there are no libraries to bring.
MOUNTS = (SMI, TABLE)
MOUNT_OPTIONS = ("ro", "nosuid", "nodev", "rbind", "rprivate")
#: Text that YAML would not read as this string.
_UNLIKE_TEXT = re.compile(
    r"|[+-]?(?:\d+\.?\d*|\.\d+)|true|false|null|yes|no|on|off|~|[^\w/].*|.*(?:: | #).*|.*:",
    re.IGNORECASE,
)


class BrokenSpec(Exception):
    """A file that is no CDI specification; the text says why."""


def make(
    *,
    strategies: list[str],
    kind: str = "nvidia.com/gpu",
    with_all: bool = True,
) -> dict[str, Any]:
    """The specification for the GPUs that there are now; NoDriver if the driver does not answer."""
    found = driver.gpus()
    named = {_name(gpu, strategy): [gpu] for strategy in strategies for gpu in found}
    if with_all and found:
        named["all"] = found
    return {
        "cdiVersion": VERSION,
        "kind": kind,
        "devices": [_device(name, gpus) for name, gpus in sorted(named.items())],
        "containerEdits": {
            "env": list(ENV),
            "deviceNodes": [_node(node) for node in driver.common_nodes()],
            "mounts": [
                {"hostPath": path, "containerPath": path, "options": list(MOUNT_OPTIONS)}
                for path in MOUNTS
            ],
        },
    }


def _name(gpu: Gpu, strategy: str) -> str:
    return {"index": gpu.index, "uuid": gpu.uuid, "type-index": f"gpu{gpu.index}"}[strategy]


def _device(name: str, gpus: list[Gpu]) -> dict[str, Any]:
    nodes = [_node(driver.node(gpu.node)) for gpu in gpus]
    return {"name": name, "containerEdits": {"deviceNodes": nodes}}


def _node(node: Node) -> dict[str, Any]:
    """With its numbers, so that a specification from before a change gives the wrong device."""
    numbers = {"major": node.major, "minor": node.minor, "fileMode": node.mode}
    return {"path": node.path, **{k: v for k, v in numbers.items() if v}, "permissions": "rwm"}


def to_json(spec: dict[str, Any]) -> str:
    return json.dumps(spec, separators=(",", ":"))


def to_yaml(spec: dict[str, Any]) -> str:
    return "---\n" + "".join(f"{line}\n" for line in _yaml(spec))


def _yaml(value: dict[str, Any] | list[Any], step: int = 4) -> list[str]:
    """The lines of a mapping or a list, indented as Go's writer does: to multiples of four."""
    lines: list[str] = []
    if isinstance(value, list):
        for item in value:
            inner = _yaml(item, step=2) if isinstance(item, dict) else [_scalar(item)]
            lines += [f"- {inner[0]}", *(f"  {line}" for line in inner[1:])]
        return lines
    for key, item in value.items():
        if isinstance(item, (dict, list)) and item:
            lines += [f"{key}:", *(f"{' ' * step}{line}" for line in _yaml(item))]
        else:
            lines.append(f"{key}: {_scalar(item)}")
    return lines


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value) if _UNLIKE_TEXT.fullmatch(value) else value
    return json.dumps(value)


def device_names(text: str) -> tuple[str, list[str]]:
    """The kind and the devices' names of a specification in JSON, or in block-style YAML."""
    if text.lstrip().startswith("{"):
        try:
            spec = json.loads(text)
        except ValueError as error:
            raise BrokenSpec(f"failed to unmarshal CDI Spec: {error}") from None
        kind, names = spec.get("kind", ""), [one.get("name") for one in spec.get("devices") or []]
    else:
        found = re.search(r"""^kind: *["']?([^\s"']+)""", text, re.MULTILINE)
        kind = found[1] if found else ""
        devices = re.search(r"^devices:\n((?:[ -].*\n?)*)", text, re.MULTILINE)
        listed = devices[1] if devices else ""
        first = re.search(r"^( *)- name:", listed, re.MULTILINE)
        own = rf"""^{first[1] if first else ""}- name: *["']?([^\s"']+)"""
        names = re.findall(own, listed, re.MULTILINE)
    if not kind:
        raise BrokenSpec("failed to unmarshal CDI Spec")
    if not names:
        raise BrokenSpec("invalid CDI Spec: invalid spec, no devices")
    return kind, names

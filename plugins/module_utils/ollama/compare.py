# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An installed model beside a recipe: what of it differs, as far as the server tells. Private."""

from __future__ import annotations

import re
import typing as t

from . import modelfile, parameters
from .errors import InvalidModelfile

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .recipe import Recipe

_BLOB = re.compile(r"^FROM .*sha256-([0-9a-f]{64})$", re.MULTILINE)
# A server may add these by itself, so they count only where the recipe names them.
_DETECTED = ("template", "renderer", "parser")
_EMPTY: dict[str, t.Any] = {"parameters": {}, "system": "", "messages": [], "license": [],
                            "requires": ""}  # fmt: skip


def weights_of(shown: Mapping[str, t.Any]) -> str | None:
    """The SHA-256 of the blob with the weights; servers from 0.30 on rewrite what was uploaded."""
    found = _BLOB.search(str(shown.get("modelfile", "")))
    return found.group(1) if found else None


def wanted(recipe: Recipe, base: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What the recipe says of everything that is compared; the base is what /api/show says of it.

    A model takes everything from its base but what it says itself: parameters go one by one, and
    licences are added to those that are there.
    """
    inherited = _said(base, recipe.fields.get("parameters", {})) if recipe.base else _EMPTY
    said = {name: value for name, value in recipe.fields.items() if name in (*_EMPTY, *_DETECTED)}
    licenses = [inherited["license"], *said.pop("license", [])]
    said["parameters"] = {**inherited["parameters"], **said.get("parameters", {})}
    return {**inherited, **said, "license": "\n".join(filter(None, licenses))}


def live(shown: Mapping[str, t.Any], recipe: Recipe, base: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The same of the answer of /api/show; equal values are equal, however they are written."""
    found = _said(shown, wanted(recipe, base)["parameters"])
    for name in _DETECTED:
        if name in recipe.fields:
            found[name] = _instruction(shown, name)
    return found


def _said(shown: Mapping[str, t.Any], like: Mapping[str, t.Any]) -> dict[str, t.Any]:
    told = parameters.read_shown(str(shown.get("parameters") or ""))
    return {
        "parameters": parameters.normalise(told, like),
        "system": shown.get("system") or "",
        "messages": [
            {"role": message.get("role"), "content": message.get("content") or ""}
            for message in shown.get("messages") or []
        ],
        "license": shown.get("license") or "",
        "requires": shown.get("requires") or "",
    }


def _instruction(shown: Mapping[str, t.Any], name: str) -> str:
    # The field of that name may hold something else that takes its place when the model runs.
    try:
        commands = modelfile.parse(str(shown.get("modelfile", ""))).commands
    except InvalidModelfile:
        return str(shown.get(name, ""))
    return next((command.args for command in commands if command.name == name), "")


def told(values: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The values that are worth showing."""
    return {name: value for name, value in values.items() if value}

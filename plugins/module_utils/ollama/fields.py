# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What /api/create takes beside a Modelfile, field by field, checked. Pure. Private.

The server stores parameters as they come and complains only when the model is loaded, so they are
checked here.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import modelfile, parameters
from .errors import InvalidModelfile, InvalidParameter

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What a server can make of unquantized weights.
QUANTIZATIONS = ("F32", "F16", "Q4_K_S", "Q4_K_M", "Q8_0")


@dataclasses.dataclass(frozen=True)
class Checked:
    """The fields as the server wants them, and what has to be said about them."""

    values: dict[str, t.Any]
    warnings: tuple[str, ...] = ()


def check(given: Mapping[str, t.Any]) -> Checked:
    """The fields that say something; Refused names the option and the value."""
    values = {
        name: _CHECKS[name](value) for name, value in given.items() if value not in (None, "", [])
    }
    told = values.get("parameters", {})
    old = sorted(name for name in told if name in parameters.DEPRECATED)
    if old:
        values["parameters"] = {name: value for name, value in told.items() if name not in old}
    warnings = [
        f"parameters: {name} is deprecated, servers no longer know it, so it is left out."
        for name in old
    ]
    return Checked({name: value for name, value in values.items() if value}, tuple(warnings))


def _text(value: t.Any) -> str:
    return str(value)


def _parameters(given: Mapping[str, t.Any]) -> dict[str, parameters.Value]:
    return {name: _parameter(name, value) for name, value in given.items()}


def _parameter(name: str, value: t.Any) -> parameters.Value:
    if name in parameters.DEPRECATED:
        return str(value)
    several = value if isinstance(value, list) else [value]
    try:
        read = [parameters.convert(name, _written(each)) for each in several]
    except InvalidParameter as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise Refused(f"parameters: {name}: {error}{hint}.") from error
    if name == "stop":
        return [word for words in read if isinstance(words, list) for word in words]
    if isinstance(value, list):
        raise Refused(f"parameters: {name} takes one value, not the list {value!r}.")
    if isinstance(read[0], float) and not math.isfinite(read[0]):
        raise Refused(f"parameters: {name} must be a finite number, not {value!r}.")
    return read[0]


def _written(value: t.Any) -> str:
    """The value as a PARAMETER line would say it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _messages(given: list[t.Any]) -> list[dict[str, str]]:
    return [_message(number, message) for number, message in enumerate(given, 1)]


def _message(number: int, message: t.Any) -> dict[str, str]:
    said = message if isinstance(message, dict) else {}
    role, content = said.get("role"), said.get("content")
    if set(said) != {"role", "content"} or not isinstance(content, str):
        raise Refused(f"messages: number {number} must have exactly role and content.")
    if role not in modelfile.ROLES:
        roles = ", ".join(modelfile.ROLES)
        raise Refused(f"messages: number {number} has the role {role!r}; roles are {roles}.")
    return {"role": role, "content": content}


def _requires(text: str) -> str:
    try:
        return modelfile.version(text)
    except InvalidModelfile as error:
        raise Refused(f"requires {text!r} is not a version such as 0.14.0.") from error


_CHECKS: dict[str, Callable[[t.Any], t.Any]] = {
    "template": _text,
    "system": _text,
    "renderer": _text,
    "parser": _text,
    "quantize": _text,
    "license": list,
    "parameters": _parameters,
    "messages": _messages,
    "requires": _requires,
}

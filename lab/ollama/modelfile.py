# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ollama create -f` makes of a Modelfile; every value on the line of its instruction."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from lab.ollama.options import TYPES


class NotUnderstood(Exception):
    """The Modelfile says what this cannot read."""


@dataclasses.dataclass
class Modelfile:
    """Fields of `/api/create`, and the files that go up before it."""

    fields: dict[str, t.Any]
    files: list[Path]


def read(path: Path) -> Modelfile:
    """The Modelfile at the path; FROM something that is no file is the name of a model."""
    made = Modelfile({"parameters": {}}, [])
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        name, _blank, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            _take(made, path.parent, name.lower(), value.strip())
    if not made.files and "from" not in made.fields:
        raise NotUnderstood("no FROM line")
    return made


def _take(made: Modelfile, folder: Path, name: str, value: str) -> None:
    if value.startswith('"""') and not value.endswith('"""', 3):
        raise NotUnderstood(f"this stand-in reads {name.upper()} from one line only")
    if name == "from":
        if (folder / value).is_file():
            made.files.append(folder / value)
        else:
            made.fields["from"] = value
    elif name == "parameter":
        key, _blank, text = value.partition(" ")
        _parameter(made.fields["parameters"], key, text.strip().strip('"'))
    elif name in ("system", "template"):
        made.fields[name] = value.strip('"')
    else:
        raise NotUnderstood(f"this stand-in's create does not know {name.upper()}")


def _parameter(parameters: dict[str, t.Any], key: str, text: str) -> None:
    if key not in TYPES:
        raise NotUnderstood(f"unknown parameter '{key}'")
    if TYPES[key] == "array":
        parameters.setdefault(key, []).append(text)
    else:
        try:
            parameters[key] = json.loads(text)
        except ValueError:
            raise NotUnderstood(f"invalid {TYPES[key]} value [{text}]") from None

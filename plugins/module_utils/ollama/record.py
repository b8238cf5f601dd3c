# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered on the host: which probe passed, and where a model came from. Private."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.atomic import write_json

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .names import Name

JsonObject = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class _File:
    """A JSON file on the host."""

    path: str

    @property
    def has_folder(self) -> bool:
        return Path(self.path).parent.is_dir()

    def _read(self) -> JsonObject:
        # A record that is gone or damaged says nothing, as if it had never been written.
        try:
            record = json.loads(Path(self.path).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


@dataclasses.dataclass(frozen=True)
class Record(_File):
    """The file in which the last probe of a model is kept."""

    def passed(self, key: Mapping[str, str]) -> JsonObject | None:
        """The recorded result, if it is a pass of exactly this."""
        record = self._read()
        result = record.get("probe")
        same = all(record.get(field) == value for field, value in key.items())
        if record.get("passed") is True and same and isinstance(result, dict):
            return result
        return None

    def write(self, about: Mapping[str, str], result: JsonObject, *, passed: bool) -> None:
        write_json(self.path, {**about, "passed": passed, "probe": result})


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a model was made from, and the digest that it had then."""

    spec: str
    digest: str
    gguf_sha256: str = ""
    base_digest: str = ""
    server_version: str = ""
    # How the weights got into the store: by link, or through the API.
    way: str = ""
    # What a run was about to make of it (the spec, or the digest of a pulled model): one that was
    # broken off did not come to say that it did.
    intended: str = ""


@dataclasses.dataclass(frozen=True)
class OriginRecord(_File):
    """The file that remembers where a model came from."""

    def read(self, name: Name) -> Origin | None:
        """The origin of this model, if the file is about it and whole."""
        record = self._read()
        known = {field.name for field in dataclasses.fields(Origin)}
        said = {key: value for key, value in record.items() if key in known}
        whole = {"spec", "digest"} <= set(said) and all(isinstance(v, str) for v in said.values())
        return Origin(**said) if whole and record.get("name") == name.key else None

    def forget(self) -> None:
        """Remove the file; one that is not there stays so."""
        Path(self.path).unlink(missing_ok=True)

    def write(self, name: Name, origin: Origin) -> None:
        write_json(self.path, {"name": name.key, **dataclasses.asdict(origin)})

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory of a probe: a file on the host that says what passed. Private."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.atomic import write_json

if t.TYPE_CHECKING:
    from collections.abc import Mapping

JsonObject = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Record:
    """The file in which the last probe of a model is kept."""

    path: str

    @property
    def has_folder(self) -> bool:
        return Path(self.path).parent.is_dir()

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

    def _read(self) -> JsonObject:
        # A record that is gone or damaged says nothing: the probe is simply made again.
        try:
            record = json.loads(Path(self.path).read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

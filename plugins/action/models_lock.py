# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names
from ansible_collections.edgellm.host.plugins.plugin_utils import lock_update

_ENTRY: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "host": {"type": "str"},
    "digest": {"type": "str", "required": True},
    "registry": {"type": "str"},
    "manifest": {"type": "str"},
    "gguf": {
        "type": "dict",
        "options": {
            "repo": {"type": "str"},
            "url": {"type": "str"},
            "file": {"type": "str"},
            "commit": {"type": "str"},
            "sha256": {"type": "str", "required": True},
            "size": {"type": "int", "required": True},
        },
    },
    "from": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "digest": {"type": "str", "required": True},
        },
    },
    "spec": {"type": "str"},
    "server_version": {"type": "str"},
    "import_method": {"type": "str", "choices": ["api", "link"]},
}
_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "dir": {"type": "path", "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True, "options": _ENTRY},
    "update": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):
    """Keeps the lock on the controller; no host is asked anything."""

    _supports_check_mode = True
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        try:
            merged = lock_update.update(
                Path(arguments["dir"]),
                [lock_update.offer(entry) for entry in arguments["entries"]],
                [names.parse(name) for name in arguments["update"]],
                check_mode=self._task.check_mode,
            )
        except EdgellmError as error:
            raise AnsibleActionFail(str(error)) from error
        return {
            "changed": merged.changed,
            "path": str(merged.after.path),
            **{what: merged.named(what) for what in ("added", "replaced", "unchanged")},
            "drift": [drift.to_result() for drift in merged.drift],
            "diff": merged.diff,
        }

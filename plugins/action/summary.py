# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.edgellm.host.plugins.plugin_utils.report import condense, render

_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "hosts": {"type": "dict", "required": True},
    "mode": {"type": "str", "choices": ["run", "plan", "verify"], "default": "run"},
    "dest": {"type": "path"},
}


class ActionModule(ActionBase):
    """Shows the report on the controller; no host is asked anything."""

    _supports_check_mode = True
    _requires_connection = False

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        mode = arguments["mode"]
        hosts = arguments["hosts"]
        if mode != "verify":
            hosts = {name: condense(host) for name, host in hosts.items()}
        page = render(mode, hosts)
        Display().display(f"\n{page}")
        content = json.dumps({"mode": mode, "hosts": hosts}, ensure_ascii=False, indent=2)
        files = {"report.txt": page, "report.json": f"{content}\n"} if arguments["dest"] else {}
        return {"changed": False, "text": page, "files": _write(arguments["dest"], files)}


def _write(dest: str, files: dict[str, str]) -> list[str]:
    written = []
    for name, content in files.items():
        path = Path(dest, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        except OSError as error:
            raise AnsibleActionFail(
                f"The report cannot be written to {path}: {error.strerror}. Set dest to a "
                "directory on the controller that you may write to."
            ) from error
        written.append(str(path))
    return written

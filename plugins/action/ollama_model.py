# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name, and shows how far it is while a model is on its way."""

from __future__ import annotations

from ansible_collections.edgellm.host.plugins.plugin_utils.watched import (
    WORTH_WATCHING,
    Result,
    WatchedAction,
)


class ActionModule(WatchedAction):
    MODULE = "edgellm.host.ollama_model"

    def _short_run(self, task_vars: Result) -> Result | None:
        # What is as wanted already costs one short run, and what cannot work fails by it.
        foreseen = self._foresee(task_vars)
        if foreseen.get("failed"):
            return foreseen
        if not foreseen["changed"]:
            # Looking ahead writes nothing down, also not what is to be remembered of the model.
            return foreseen if self._is_remembered(foreseen) else self._module(task_vars)
        planned = foreseen["plan"]
        if planned["bytes_fetch"] + planned["bytes_upload"] < WORTH_WATCHING:
            return self._module(task_vars)
        return None

    def _is_remembered(self, foreseen: Result) -> bool:
        known, model = foreseen.get("recorded") or {}, foreseen.get("model") or {}
        return not self._task.args.get("record") or known.get("digest") == model.get("digest")

    def _foresee(self, task_vars: Result) -> Result:
        self._task.check_mode = True
        try:
            return self._module(task_vars)
        finally:
            self._task.check_mode = False

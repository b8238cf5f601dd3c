# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name, and shows how far it is while it fetches a file."""

from __future__ import annotations

from ansible_collections.edgellm.host.plugins.plugin_utils.watched import (
    WORTH_WATCHING,
    Result,
    WatchedAction,
)


class ActionModule(WatchedAction):
    MODULE = "edgellm.host.gguf_file"

    def _short_run(self, task_vars: Result) -> Result | None:
        if "fetch_at_most" in self._task.args:
            return self._module(task_vars)
        # For real rather than in check mode, so that what it hashed is recorded and hashed once.
        done = self._module(task_vars, fetch_at_most=WORTH_WATCHING)
        return None if done.get("deferred") else done

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError
from ansible_collections.edgellm.host.plugins.plugin_utils import deployed

if t.TYPE_CHECKING:
    from collections.abc import Callable


def _worded(name: str, work: Callable[..., t.Any]) -> Callable[..., t.Any]:
    def run(*args: t.Any, **options: t.Any) -> t.Any:
        try:
            return work(*args, **options)
        except EdgellmError as error:
            raise AnsibleFilterError(f"edgellm.host.{name}: {error}") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise AnsibleFilterError(
                f"edgellm.host.{name}: results of the modules over specs of the catalogue are "
                f"needed ({type(error).__name__}: {error})."
            ) from error

    return run


class FilterModule:
    def filters(self) -> dict[str, t.Any]:
        return {
            "models_lock_entries": _worded("models_lock_entries", deployed.lock_entries),
            "models_notes": _worded("models_notes", deployed.notes),
            "models_to_move": _worded("models_to_move", deployed.to_move),
            "models_unknown": _worded("models_unknown", deployed.unknown),
        }

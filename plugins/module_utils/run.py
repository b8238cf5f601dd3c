# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frame around every module: one place where errors become a result. Private."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .errors import EdgellmError
from .web import HTTPX_IMPORT_ERROR

Work = t.Callable[[AnsibleModule], t.Mapping[str, t.Any]]


def run(module: AnsibleModule, work: Work, *, needs_httpx: bool = False) -> None:
    """Do the module's work and exit with its result, or with the one message why not."""
    if needs_httpx and HTTPX_IMPORT_ERROR:
        module.fail_json(
            msg=missing_required_lib("httpx", reason="(Debian and Ubuntu: python3-httpx)"),
            exception=HTTPX_IMPORT_ERROR,
        )
    try:
        result = work(module)
    except EdgellmError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(**result)

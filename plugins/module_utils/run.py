# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frame around every module: one place where errors become a result. Private."""

from __future__ import annotations

import contextlib
import signal
import threading
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from .errors import EdgellmError
from .status_file import StatusFile
from .web import HTTPX_IMPORT_ERROR

if t.TYPE_CHECKING:
    from collections.abc import Iterator

STOPPED = "The work was stopped (SIGTERM). What was fetched is kept: run it again to go on."
Work = t.Callable[[AnsibleModule], t.Mapping[str, t.Any]]


def run(module: AnsibleModule, work: Work, *, needs_httpx: bool = False) -> None:
    """Do the module's work and exit with its result, or with the one message why not."""
    if needs_httpx and HTTPX_IMPORT_ERROR:
        module.fail_json(
            msg=missing_required_lib("httpx", reason="(Debian and Ubuntu: python3-httpx)"),
            exception=HTTPX_IMPORT_ERROR,
        )
    # Known as early as possible, to whoever wants to stop it.
    StatusFile(module.params.get("status_file")).begin()
    try:
        with _stoppable():
            result = work(module)
    except EdgellmError as error:
        module.fail_json(msg=str(error), **error.details)
    except Stopped:
        module.fail_json(msg=STOPPED)
    module.exit_json(**result)


class Stopped(BaseException):
    """Somebody wants the process to end. Nothing on the way takes it for a fault."""


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM end the work like an error, so that it leaves everything in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, _frame: object) -> t.NoReturn:
    # Once is enough, and must not hit who is tidying up.
    signal.signal(number, signal.SIG_IGN)
    raise Stopped

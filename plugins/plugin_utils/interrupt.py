# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time to put things in order after Ctrl-C. Private."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

STEP_SECONDS = 0.1
GRACE_SECONDS = 20.0


class Interrupt:
    """Whether the person wants an end. Ansible sends its workers what Ctrl-C sent to it."""

    def __init__(self) -> None:
        self.asked = False

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise KeyboardInterrupt as soon as an end is asked for."""
        end = time.monotonic() + seconds
        while not self.asked and (left := end - time.monotonic()) > 0:
            time.sleep(min(STEP_SECONDS, left))
        self.check()

    def check(self) -> None:
        if self.asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def noted() -> Iterator[Interrupt]:
    """Have SIGINT and SIGTERM only noted, for as long as it may take to end the work in order.

    Either would end a worker at once, in the middle of talking to a host, and Ansible sends both,
    one right after the other. It waits for its workers then; a second Ctrl-C ends that.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    ends = (signal.SIGINT, signal.SIGTERM)

    def note(_number: int, _frame: FrameType | None) -> None:
        if not interrupt.asked:
            interrupt.asked = True
            signal.signal(signal.SIGALRM, give_up)
            signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)

    def give_up(_number: int, _frame: FrameType | None) -> None:
        # The host does not answer.
        restore()
        os.kill(os.getpid(), signal.SIGTERM)

    before = [signal.signal(number, note) for number in ends]

    def restore() -> None:
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)

    try:
        yield interrupt
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        restore()

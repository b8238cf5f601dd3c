# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress on the terminal: one line that is written anew, or lines at a bearable pace. Private."""

from __future__ import annotations

import shutil
import sys
import time

from ansible.utils.display import Display
from ansible_collections.edgellm.host.plugins.plugin_utils import progress, text

# Found out when the main process loads the plugin: its workers, which ask, have no terminal.
ON_TERMINAL = sys.stdout.isatty()
COLUMNS = shutil.get_terminal_size().columns

display = Display()


class Shown:
    """What is shown of one host. C(alone): no other host writes at the same time."""

    def __init__(self, host: str, *, alone: bool) -> None:
        self._host = host
        self._alone = alone
        self._pace = progress.Pace(time.monotonic())
        self._length = 0
        self._waits = False

    def tell(self, status: progress.Status) -> None:
        """Show how far the host is, unless nobody looks."""
        if not ON_TERMINAL:
            return
        if status.phase == "waiting" and not self._waits:
            self._waits = True
            self.clear()
            display.display(progress.waits(self._host, status))
        if self._alone:
            line = progress.line(self._host, status, COLUMNS - 1)
            self._rewrite(text.shortened(line, COLUMNS - 1))
        elif self._pace.is_due(time.monotonic(), status.share):
            display.display(progress.line(self._host, status))

    def clear(self) -> None:
        """Leave the place to what comes next."""
        if self._length:
            self._rewrite("")
            self._put("\r")

    def _rewrite(self, line: str) -> None:
        self._put(f"\r{text.pad(line, self._length)}")
        self._length = text.width(line)

    def _put(self, said: str) -> None:
        display.display(said, newline=False, screen_only=True)

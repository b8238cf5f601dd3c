# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class CommandError(Exception):
    """What the command prints before it ends with a status."""

    status = 1


class UsageError(CommandError):
    """The command was called wrongly; the real one ends with -1."""

    status = 255

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root of every error that is meant for the person at the terminal. Private."""

from __future__ import annotations

import typing as t


class EdgellmError(Exception):
    """Something went wrong that a person can act on; the text says what and how.

    The details travel beside the message into the module's result.
    """

    def __init__(self, message: str, **details: t.Any) -> None:
        super().__init__(message)
        self.details = details


class Refused(EdgellmError):
    """What was asked for cannot be done, found out before anything was changed."""

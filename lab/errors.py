# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class LabError(Exception):
    """Something the person at the terminal must know; the message says what to do about it."""

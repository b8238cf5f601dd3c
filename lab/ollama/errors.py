# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that becomes an `{"error": …}` answer."""

from __future__ import annotations


class ApiError(Exception):
    """An error with the text and the status a client gets to see."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


def model_not_found(name: str, *, quote: str = "'", hint: str = "") -> ApiError:
    """Return the 404 for a model name; endpoints differ in quotes and in the hint they add."""
    return ApiError(f"model {quote}{name}{quote} not found{hint}", 404)

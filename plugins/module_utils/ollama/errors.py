# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with Ollama and its registries.

EdgellmError
├── Refused
│   ├── InvalidName          a name no server would accept
│   ├── InvalidModelfile     a Modelfile that Ollama could not read either
│   └── InvalidParameter     a parameter that does not exist, or a value it cannot have
├── OllamaError
│   ├── Unreachable          nothing answers at the URL
│   ├── NotOllama            something answers, but not as Ollama does
│   ├── Silent               the server stopped sending
│   ├── StreamCut            a stream ended before it said success
│   └── ApiError             the server said what is wrong (HTTP status or error line)
│       └── NotFound
└── RegistryError
    └── UnknownModel         the registry has no such model or tag
"""

# Names say what happened, as those of httpx do.

from __future__ import annotations

import re
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError, Refused


class InvalidName(Refused):
    pass


class InvalidModelfile(Refused):
    """The message is Ollama's own; line is the true one, where there is one."""

    def __init__(self, message: str, *, line: int | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint

    @property
    def complaint(self) -> str:
        """The message without the line as Ollama counts, but with what may help."""
        plain = re.sub(r"^\(line \d+\): ", "", str(self))
        return f"{plain} ({self.hint})" if self.hint else plain


class InvalidParameter(Refused):
    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class OllamaError(EdgellmError):
    pass


class Unreachable(OllamaError):
    pass


class NotOllama(OllamaError):
    pass


class Silent(OllamaError):
    pass


class StreamCut(OllamaError):
    pass


class ApiError(OllamaError):
    def __init__(self, message: str, *, status: int, **details: t.Any) -> None:
        super().__init__(message, status=status, **details)
        self.status = status


class NotFound(ApiError):
    pass


class RegistryError(EdgellmError):
    pass


class UnknownModel(RegistryError):
    pass

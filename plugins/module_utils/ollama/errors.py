# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can go wrong with Ollama and its registries.

EdgellmError
├── Refused
│   └── InvalidName          a name no server would accept
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

import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError, Refused


class InvalidName(Refused):
    pass


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

# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/push`: far enough for its errors; nothing is ever uploaded from the lab."""

from __future__ import annotations

from lab.ollama.answers import Events
from lab.ollama.errors import ApiError
from lab.ollama.names import Name
from lab.ollama.store import Store


async def push(store: Store, name: Name) -> Events:
    """Yield the first steps of a push, which then ends with an error."""
    yield {"status": "retrieving manifest"}
    if store.find(store.existing(name)) is None:
        yield {"status": "couldn't retrieve manifest"}
        path = store.manifest_path(name)
        raise ApiError(f"open {path}: no such file or directory")
    raise ApiError("this stand-in does not push")

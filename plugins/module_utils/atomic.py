# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are either the old one or the new one, never half of it. Private."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import typing as t
from pathlib import Path

_PREFIX = ".edgellm-"


def write_json(path: str, value: t.Any, *, mode: int = 0o644) -> None:
    """Replace the file by the JSON form of the value, in one step."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    write_bytes(Path(path), f"{text}\n".encode(), mode=mode)


def write_bytes(target: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace the file by this content, in one step."""
    _sweep(target.parent)
    handle, staged = _staged(target.parent)
    with os.fdopen(handle, "wb") as stream:
        try:
            stream.write(content)
            stream.flush()
            staged.chmod(mode)
            staged.replace(target)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise


def _staged(folder: Path) -> tuple[int, Path]:
    """A new file with a lock, by which others see that its writer is alive."""
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=_PREFIX)
        # Nobody holds it for long. Where there are no locks, nobody sweeps either.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        if Path(name).exists():
            return handle, Path(name)
        # Swept in between.
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed left behind."""
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()

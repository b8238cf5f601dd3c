# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are either the old one or the new one, never half of it. Private."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path


def write_json(path: str, value: t.Any, *, mode: int = 0o644) -> None:
    """Replace the file by the JSON form of the value, in one step."""
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    write_bytes(Path(path), f"{text}\n".encode(), mode=mode)


def write_bytes(target: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace the file by this content, in one step."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".edgellm-")
    staged = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        staged.chmod(mode)
        staged.replace(target)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise

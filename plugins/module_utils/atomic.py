# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are either the old one or the new one, never half of it. Private."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import typing as t


def write_json(path: str, value: t.Any, *, mode: int = 0o644) -> None:
    """Replace the file by the JSON form of the value, in one step."""
    handle, staged = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".edgellm-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream, ensure_ascii=False, indent=2, sort_keys=True)
            stream.write("\n")
        os.chmod(staged, mode)
        os.replace(staged, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)
        raise

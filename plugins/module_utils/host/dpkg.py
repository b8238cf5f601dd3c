# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installed Debian packages, read from dpkg's own file without a process. Private."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_STATUS = "var/lib/dpkg/status"


def versions(names: Iterable[str], root: str = "/") -> dict[str, str | None]:
    """The installed version of each package, or None when it is not (wholly) installed."""
    found: dict[str, str | None] = dict.fromkeys(names)
    status = Path(root, _STATUS)
    if not found or not status.is_file():
        return found
    for paragraph in status.read_text("utf-8", "replace").split("\n\n"):
        head, _, rest = paragraph.lstrip("\n").partition("\n")
        if not head.startswith("Package: "):
            continue
        name = head[len("Package: ") :].strip()
        # A package may be there once per architecture; the first one installed answers for it.
        if name in found and found[name] is None:
            found[name] = _installed_version(rest)
    return found


def _installed_version(paragraph: str) -> str | None:
    version = None
    installed = False
    for line in paragraph.splitlines():
        if line.startswith("Status: "):
            # "hold ok installed" is installed, "deinstall ok config-files" is not.
            installed = line.split()[-1] == "installed"
        elif line.startswith("Version: "):
            version = line[len("Version: ") :].strip()
    return version if installed else None

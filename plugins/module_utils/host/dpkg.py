# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installed Debian packages, read from dpkg's own file without a process. Private."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_STATUS = "var/lib/dpkg/status"


@dataclass(frozen=True)
class _Package:
    version: str
    held: bool


def versions(names: Iterable[str], root: str = "/") -> dict[str, str | None]:
    """The installed version of each package, or None when it is not (wholly) installed."""
    wanted = list(names)
    found = _read(wanted, root)
    return {name: found[name].version if name in found else None for name in wanted}


def held(names: Iterable[str], root: str = "/") -> list[str]:
    """Those of the packages that are installed and that upgrades leave as they are."""
    wanted = list(names)
    found = _read(wanted, root)
    return [name for name in wanted if name in found and found[name].held]


def _read(names: list[str], root: str) -> dict[str, _Package]:
    status = Path(root, _STATUS)
    found: dict[str, _Package] = {}
    if not names or not status.is_file():
        return found
    for paragraph in status.read_text("utf-8", "replace").split("\n\n"):
        head, _, rest = paragraph.lstrip("\n").partition("\n")
        if not head.startswith("Package: "):
            continue
        name = head[len("Package: ") :].strip()
        # A package may be there once per architecture; the first one installed answers for it.
        if name in names and name not in found and (package := _installed(rest)):
            found[name] = package
    return found


def _installed(paragraph: str) -> _Package | None:
    version, installed, on_hold = "", False, False
    for line in paragraph.splitlines():
        if line.startswith("Status: "):
            # "hold ok installed" is installed, "deinstall ok config-files" is not.
            selection, *_, state = line[len("Status: ") :].split()
            installed, on_hold = state == "installed", selection == "hold"
        elif line.startswith("Version: "):
            version = line[len("Version: ") :].strip()
    return _Package(version, on_hold) if installed else None

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watch as a program of one file, made of the very code that runs here. Private.

A play and a timer that were written twice would disagree one day; and a folder of small files
would cost a connection for each.
"""

from __future__ import annotations

import io
import sys
import zipfile

from . import watch

_UTILS = __package__.rpartition(".")[0]
# What the watch is made of; none of it needs Ansible.
_PARTS = ("errors", "atomic", "gpu", "host")
_PACKAGE = "edgellm_host"
_MAIN = f"import sys\n\nfrom {_PACKAGE}.gpu.watch import main\n\nsys.exit(main())\n"
# Equal code gives equal bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


def build() -> bytes:
    """A zip archive that `python3 FILE` runs, with the options of the watch."""
    files = {"__main__.py": _MAIN, f"{_PACKAGE}/__init__.py": "", **_sources()}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        for name, text in sorted(files.items()):
            stream.writestr(zipfile.ZipInfo(name, _TIME), text, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _sources() -> dict[str, str]:
    """Each loaded file that the watch may import, under its path in the archive."""
    assert watch.__name__ in sys.modules
    found = {}
    for name, module in list(sys.modules.items()):
        if not name.startswith(f"{_UTILS}."):
            continue
        parts = name[len(_UTILS) + 1 :].split(".")
        if parts[0] not in _PARTS or module.__spec__ is None:
            continue
        is_package = module.__spec__.submodule_search_locations is not None
        path = "/".join([_PACKAGE, *parts, *(["__init__"] if is_package else [])])
        found[f"{path}.py"] = _text(name, module.__spec__.loader)
    return found


def _text(name: str, loader: object) -> str:
    # Inside Ansible's own archive as on a disk; a folder without __init__.py has no source.
    read = getattr(loader, "get_source", None)
    return (read(name) if read else None) or ""

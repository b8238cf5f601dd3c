#!/usr/bin/env python3
"""Refuse a clone that cannot work, with the line to type instead.

Ansible ignores ansible.cfg in a folder that everybody may write to, which is what a Windows drive
looks like from WSL; and without its link the collection cannot be found under its own name.
"""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

LINK = "collections/ansible_collections/edgellm/host"
TARGET = "../../.."


class Mount(NamedTuple):
    """One line of /proc/self/mounts."""

    point: str
    fstype: str
    options: str


def parse_mounts(text: str) -> list[Mount]:
    """All mounts; the kernel writes spaces in paths as octal."""
    mounts = []
    for line in text.splitlines():
        fields = [re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), f) for f in line.split()]
        if len(fields) >= 4:
            mounts.append(Mount(fields[1], fields[2], fields[3]))
    return mounts


def is_windows_drive(path: Path, mounts: list[Mount]) -> bool:
    """Whether the file system that holds `path` is a Windows drive in WSL."""
    holding = [m for m in mounts if path.is_relative_to(m.point)]
    if not holding:
        return False
    mount = max(holding, key=lambda m: len(Path(m.point).parts))
    if mount.fstype == "drvfs" or "aname=drvfs" in mount.options:
        return True
    return mount.fstype in {"9p", "virtiofs"} and bool(re.fullmatch(r"/mnt/[a-z]", mount.point))


def problem(root: Path, mounts: list[Mount], source: str) -> str | None:
    """What is wrong with the clone at `root`, made from `source`, and the line to type; or None."""
    if is_windows_drive(root, mounts):
        target = f"~/{shlex.quote(root.name)}"
        return (
            f"This clone lies on a Windows drive ({root}), where Ansible ignores ansible.cfg.\n"
            f"Type this instead, then go on there:\n"
            f"  git clone {shlex.quote(source)} {target} && cd {target}"
        )
    if root.stat().st_mode & stat.S_IWOTH:
        return (
            f"Everybody may write to {root}, so Ansible ignores its ansible.cfg.\n"
            f"Type this, then the same command again:\n"
            f"  chmod o-w {shlex.quote(str(root))}"
        )
    link = root / LINK
    if not link.is_symlink() or str(link.readlink()) != TARGET:
        if (root / ".git").exists():
            mend = f"git config core.symlinks true && rm -rf {LINK} && git checkout -- {LINK}"
        else:
            mend = f"mkdir -p {Path(LINK).parent} && rm -rf {LINK} && ln -s {TARGET} {LINK}"
        return (
            f"{LINK} should be a link to the clone itself, and is not.\n"
            f"Type this, then the same command again:\n"
            f"  cd {shlex.quote(str(root))} && {mend}"
        )
    return None


def origin_of(root: Path) -> str:
    """Where the clone came from; the clone itself when that is not known."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "config", "--get", "remote.origin.url"],
            capture_output=True,
            check=False,
            text=True,
        )
    except FileNotFoundError:
        return str(root)
    return done.stdout.strip() or str(root)


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    table = Path("/proc/self/mounts")
    found = problem(
        root,
        parse_mounts(table.read_text(encoding="utf-8")) if table.exists() else [],
        origin_of(root),
    )
    if found:
        print(found, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab did to this machine (so that it can be undone) and the lock around doing it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import say
from lab.errors import LabError
from lab.names import ROOT

#: Facts about the machine, not about a checkout: another clone must know them too.
MACHINE = Path("/var/lib/edgellm-lab")
#: Downloads, logs and half-built things of this checkout.
LOCAL = ROOT / ".lab"


def local_dir(name: str) -> Path:
    """A folder below .lab/, which keeps itself out of git."""
    path = LOCAL / name
    path.mkdir(parents=True, exist_ok=True)
    (LOCAL / ".gitignore").write_text("*\n")
    return path


def read() -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((MACHINE / "state.json").read_text())
    except FileNotFoundError:
        return {}
    return state


def update(**changes: Any) -> None:
    """Replace the named entries; an entry of None goes. On disk before this returns."""
    state = {k: v for k, v in {**read(), **changes}.items() if v is not None}
    MACHINE.mkdir(parents=True, exist_ok=True)
    fresh = MACHINE / "state.json.new"
    with fresh.open("w") as stream:
        json.dump(state, stream, indent=2, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(MACHINE / "state.json")


@contextlib.contextmanager
def lock(patience: float = 1800.0) -> Iterator[None]:
    """One lab command at a time on this machine; a second one waits and says for whom."""
    handle = _open_lock()
    try:
        _take(handle, patience)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _open_lock() -> int:
    path = _lock_folder() / "edgellm-lab.lock"
    # Without O_CREAT first: in a sticky folder the kernel refuses O_CREAT on another user's file.
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        os.fchmod(handle, 0o666)
        return handle


def _lock_folder() -> Path:
    shared = Path("/run/lock")
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


def _take(handle: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    told = False
    while not _locked(handle):
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
        if time.monotonic() > deadline:
            raise LabError(f"another lab command (process {holder}) does not finish")
        if not told:
            say.step(f"waiting for another lab command (process {holder})")
            told = True
        time.sleep(0.2)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One writer for each partial file. Private.

Two things keep a second writer away: a lock file that says who holds it, and a lock of the kernel
on that file and on the partial itself. Somebody can remove the first, and some file systems grant
the second to everybody.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import typing as t
from pathlib import Path

from .errors import Locked

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_BOOT = Path("/proc/sys/kernel/random/boot_id")
Holder = dict[str, t.Any]
# What file systems say that have no locks, or none for this way of opening.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[Lock]:
    """Hold the lock, taken over from a process that is gone; Locked if one may be alive."""
    lock = _take(path, what)
    try:
        yield lock
    finally:
        lock.release()


class Lock:
    """A lock file with the name of its holder."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle

    def is_held(self) -> bool:
        """Whether the file is still the one that was made: somebody may have removed it."""
        return is_same(self.path, self._handle)

    def release(self) -> None:
        if self.is_held():
            self.path.unlink(missing_ok=True)
        os.close(self._handle)


def _take(path: Path, what: str) -> Lock:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            try:
                handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
        try:
            if _claim(path, handle, what):
                return Lock(path, handle)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _claim(path: Path, handle: int, what: str) -> bool:
    """Write oneself into the lock file. False if it was removed meanwhile."""
    # It settles who takes over when several find the same stale lock. Some network file systems
    # grant it to everybody, so what the file says counts as well.
    if not alone(handle):
        holder = _read(handle)
        raise _locked(path, what, holder, certain=holder.get("boot", boot()) == boot())
    if not is_same(path, handle):
        return False
    holder = _read(handle)
    if holder and _may_live(holder):
        raise _locked(path, what, holder, certain=False)
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(_myself()).encode(), 0)
    os.fsync(handle)
    return True


def alone(handle: int, *, shared: bool = False) -> bool:
    """Lock the open file; False if somebody else has. It lasts as long as the file is open."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def is_kept(path: Path) -> bool:
    """Whether the lock that somebody has on this file keeps others off it."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return not alone(handle, shared=True)
    finally:
        os.close(handle)


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock, or None if nobody does any more."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if alone(handle, shared=True) else _read(handle)
    finally:
        os.close(handle)


def _locked(path: Path, what: str, holder: Holder, *, certain: bool) -> Locked:
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return Locked(
        f"{what} is being fetched by {who} already. Wait for it or stop it; if there is no such "
        f"process any more, remove {path}.",
        certain=certain,
        holder=holder,
    )


def _myself() -> Holder:
    pid = os.getpid()
    return {
        "pid": pid,
        "host": os.uname().nodename,
        "boot": boot(),
        "started": _started(pid),
    }


def _may_live(holder: Holder) -> bool:
    if holder.get("host") != os.uname().nodename:
        return True
    if holder.get("boot") != boot():
        return False
    pid = holder.get("pid")
    # Process numbers are given out again, their times of birth are not.
    return isinstance(pid, int) and _started(pid) == holder.get("started", "")


def _started(pid: int) -> str | None:
    state, *fields = _stat(pid) or ["X"]
    return None if state in ("Z", "X") else fields[18]


def cpu_seconds(pid: object) -> int | None:
    """How long the process has been computing, None if there is no such process."""
    fields = _stat(pid) if isinstance(pid, int) else None
    return sum(map(int, fields[11:13])) // os.sysconf("SC_CLK_TCK") if fields else None


def _stat(pid: int) -> list[str] | None:
    """What the kernel says of a process, from its state on."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()


def boot() -> str:
    """Which start of this machine this is; nothing if that cannot be told."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


def _read(handle: int) -> Holder:
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def is_same(path: Path, handle: int) -> bool:
    """Whether the open file is still the one at this place."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False

# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine in a process of its own, which can be killed and for which the disk can be full."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import faulthandler
import os
import resource
import signal
import sys
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.download import (
    board,
    engine,
    lane,
    partial,
    patience,
    record,
    transfer,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.follower import sha256_of
from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

# What a process has in hand between the network and the note.
BUFFER = 32 * 1024
NOTE = 64 * 1024
_NEWNS, _PRIVATE, _BIND = 0x00020000, 0x00040000 | 0x00004000, 0x00001000
_CAPSET, _CAP_VERSION, _MAY_IGNORE_MODES = {"x86_64": 126, "aarch64": 91}, 0x20080522, 0b110


@dataclasses.dataclass(frozen=True)
class Task:
    """One call of the engine."""

    source: engine.Source
    dest: Path
    mirrors: tuple[engine.Source, ...] = ()
    sha256: str | None = None
    token: str | None = None
    lanes: int = 1
    chunk: int = board.CHUNK
    timeout: float = 1.0
    retries: int = 6
    # C(full) is a disk on which nothing has room from C(at) bytes on, C(frozen) a folder that
    # belongs to somebody else.
    obstacle: str = ""
    at: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
    """How it ended, as the caller sees it."""

    error: str = ""
    said: str = ""
    shown: str = ""
    fetched: int = 0
    reused: int = 0
    # What lies there, for those who cannot look themselves.
    names: tuple[str, ...] = ()
    found: str | None = None


def main(task: Task, answers: Connection, log: str) -> None:
    """Call the engine and tell how it ended; with an obstacle, again when it is gone."""
    with Path(log).open("w", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), sys.stderr.fileno())
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        _make_small()
        with _obstacle(task) as report:
            answers.send(_call(task, report))
            if task.obstacle == "full":
                report.lift()
                answers.send(_call(task, _Report()))


def _make_small() -> None:
    """Files of megabytes behave like files of gigabytes, and nobody waits for long."""
    patience.BASE_SECONDS = 0.0
    board.LEAST_CHUNK, board.LEAST_TAIL, board.JUDGED_AFTER = 48 * 1024, 16 * 1024, 0.3
    lane.BUFFER, partial.NOTE_BYTES, partial.EVERY_BYTES = BUFFER, NOTE, 512 * 1024
    transfer.TICK = 0.05


class _Report:
    """What the engine says on the way."""

    fetched = 0

    def __call__(self, _done: int, _total: int, fetched: int) -> None:
        self.fetched = fetched


def _call(task: Task, report: _Report) -> Result:
    wanted = engine.Wanted(
        task.source,
        task.dest,
        record.place(task.dest),
        sha256=task.sha256,
        magic=b"GGUF",
        mirrors=task.mirrors,
    )
    manner = engine.Manner(
        timeout=task.timeout,
        retries=task.retries,
        token=task.token,
        shape=transfer.Shape(task.lanes, task.chunk),
        report=report,
    )
    result = Result()
    try:
        outcome = engine.ensure(wanted, manner)
    except EdgellmError as error:
        said = str(error)
        result = Result(type(error).__name__, said, f"{said} {error.details}", report.fetched)
    else:
        fetched, reused = outcome.bytes_fetched, outcome.bytes_reused
        result = Result(shown=str(outcome), fetched=fetched, reused=reused)
    names = tuple(sorted(path.name for path in task.dest.parent.iterdir()))
    found = sha256_of(task.dest) if task.dest.exists() else None
    return dataclasses.replace(result, names=names, found=found)


# --- what stands in the way ----------------------------------------------------------------------


class _Ballast(_Report):
    """Takes all the room there is as soon as so many bytes are done."""

    def __init__(self, path: Path, at: int) -> None:
        self._path, self._at = path, at

    def __call__(self, done: int, total: int, fetched: int) -> None:
        super().__call__(done, total, fetched)
        if done >= self._at and not self._path.exists():
            with contextlib.suppress(OSError), self._path.open("wb", buffering=0) as stream:
                while stream.write(bytes(4096)):
                    pass

    def lift(self) -> None:
        self._path.unlink(missing_ok=True)


class _Limit(_Report):
    """No file may become larger: for those who may not mount anything."""

    def __init__(self, at: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self._was = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (at, self._was[1]))

    def lift(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._was)


@contextlib.contextmanager
def _obstacle(task: Task) -> Iterator[t.Any]:
    folder = task.dest.parent
    if task.obstacle == "frozen":
        folder.chmod(0o555)
        _obey_modes()
        yield _Report()
        folder.chmod(0o755)
    elif task.obstacle == "full":
        small = _mount_small(folder)
        yield _Ballast(folder.with_name("small") / "ballast", task.at) if small else _Limit(task.at)
    else:
        yield _Report()


def _mount_small(folder: Path) -> bool:
    """A disk of a few megabytes that only this process sees; False where that is not allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    # What an ordinary user may is not known before it is too late to go back.
    if os.geteuid() or libc.unshare(_NEWNS):
        return False
    small = folder.with_name("small")
    small.mkdir(exist_ok=True)
    if libc.mount(None, b"/", None, _PRIVATE, None):
        return False
    if libc.mount(b"none", str(small).encode(), b"tmpfs", 0, b"size=4m"):
        return False
    (small / folder.name).mkdir()
    return not libc.mount(
        str(small / folder.name).encode(), str(folder).encode(), None, _BIND, None
    )


def _obey_modes() -> None:
    """Nobody is above the modes of files, whoever runs this."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = _CAPSET[os.uname().machine]
    status = Path("/proc/self/status").read_text("ascii")
    has = int(status.partition("CapPrm:")[2].split()[0], 16) & ~_MAY_IGNORE_MODES
    low, high = has & 0xFFFFFFFF, has >> 32
    head = (ctypes.c_uint32 * 2)(_CAP_VERSION, 0)
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if libc.syscall(number, head, data):
        raise OSError(ctypes.get_errno(), "capset")

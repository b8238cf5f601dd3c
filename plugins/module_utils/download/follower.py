# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SHA-256 of a file that is still growing. Private."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import threading
import typing as t

from . import pieces

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIECE = 1024 * 1024


class Follower:
    """Hashes behind the writer, in threads of its own: hashing and waiting need no turns.

    It reads what is in the file, so what is proved is what is there, whoever wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._hash = hashlib.sha256()
        # Those of the stretches on the way. They need not wait for that of the whole.
        self._aside = concurrent.futures.ThreadPoolExecutor(1, "sha256")
        self.pieces: list[str] = []
        self._piece = hashlib.sha256()
        self._end = 0
        self._closing = False
        self._error: Exception | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def extend(self, end: int) -> None:
        """The file is written up to here."""
        with self._news:
            self._end = end
            self._news.notify()

    def digest(self) -> str:
        """The hash of all that was written."""
        self._stop(at_once=False)
        if self._error:
            raise self._error
        if self._end % pieces.PIECE and len(self.pieces) <= self._end // pieces.PIECE:
            self._end_piece()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Stop wherever it is."""
        self._stop(at_once=True)

    def _stop(self, *, at_once: bool) -> None:
        with self._news:
            self._closing = True
            if at_once:
                self._end = 0
            self._news.notify()
        self._thread.join()
        self._aside.shutdown()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _end_piece(self) -> None:
        self.pieces.append(self._piece.hexdigest())
        self._piece = hashlib.sha256()

    def _run(self) -> None:
        try:
            self._follow()
        except (OSError, RuntimeError, MemoryError) as error:
            # Whoever asks for the hash shall not get that of a part.
            self._error = error

    def _follow(self) -> None:
        done = 0
        while True:
            with self._news:
                while done >= self._end and not self._closing:
                    self._news.wait()
                if done >= self._end:
                    return
                wanted = min(PIECE, pieces.PIECE - done % pieces.PIECE, self._end - done)
            data = os.pread(self._handle, wanted, done)
            if not data:
                raise OSError(0, "the file became shorter while it was read")
            piece = self._aside.submit(self._piece.update, data)
            self._hash.update(data)
            piece.result()
            done += len(data)
            if done % pieces.PIECE == 0:
                self._end_piece()


def sha256_of(path: Path, report: Callable[[int], object] = lambda _done: None) -> str:
    """The SHA-256 of a whole file. C(report) gets how many bytes were read."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as stream:
        while data := stream.read(PIECE):
            digest.update(data)
            report(done := done + len(data))
    return digest.hexdigest()

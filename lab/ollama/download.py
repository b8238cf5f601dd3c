# SPDX-License-Identifier: GPL-3.0-or-later
"""Blob downloads: sparse partial files, parts with a journal each, shared between pulls."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import http.client
import json
import math
import os
import threading
import time
import typing as t
from pathlib import Path

from lab.ollama import log
from lab.ollama.errors import ApiError
from lab.ollama.registry_client import DIRECT_AGENT, Cancelled, Cutter, NotFound, RegistryClient

PARTS = 16
MIN_PART = 100_000_000
MAX_PART = 1_000_000_000
MAX_TRIES = 6
CHUNK = 256 * 1024


class Stalled(Exception):
    """No byte arrived for too long; the part starts again where it stopped."""


@dataclasses.dataclass
class Part:
    """A range of a blob and how much of it is on disk."""

    number: int
    offset: int
    size: int
    completed: int = 0

    @property
    def done(self) -> bool:
        return self.completed >= self.size

    def save(self, partial: Path) -> None:
        document = {
            "N": self.number,
            "Offset": self.offset,
            "Size": self.size,
            "Completed": self.completed,
        }
        journal = partial.with_name(f"{partial.name}-{self.number}")
        journal.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


def plan_parts(total: int) -> list[Part]:
    """Cut a blob into at most 16 parts of 100 MB to 1 GB."""
    size = max(min(total // PARTS, MAX_PART), MIN_PART)
    offsets = range(0, max(total, 1), size)
    return [Part(n, offset, min(size, total - offset)) for n, offset in enumerate(offsets)]


def read_parts(partial: Path) -> list[Part]:
    """Return the parts an interrupted download left behind."""
    parts = []
    for journal in partial.parent.glob(partial.name + "-*"):
        with contextlib.suppress(ValueError, KeyError):
            data = json.loads(journal.read_bytes())
            parts.append(Part(data["N"], data["Offset"], data["Size"], data["Completed"]))
    return sorted(parts, key=lambda part: part.number)


class BlobDownload:
    """One blob on its way, in its own threads; several pulls may wait for it."""

    def __init__(self, client: RegistryClient, url: str, path: Path, *, backoff: float) -> None:
        self.client = client
        self.url = url
        self.path = path
        self.partial = path.with_name(path.name + "-partial")
        self.backoff = backoff
        self.parts: list[Part] = []
        self.users = 0
        self.future: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._cutter = Cutter()

    @property
    def total(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def completed(self) -> int:
        return sum(part.completed for part in self.parts)

    def start(self) -> None:
        """Prepare (the size, or what an earlier try left) and let the parts run."""
        self.parts = read_parts(self.partial)
        if not self.parts:
            self.parts = plan_parts(self.client.blob_size(self.url))
            for part in self.parts:
                part.save(self.partial)
        threading.Thread(target=self._run, name=f"pull {self.path.name[:19]}", daemon=True).start()

    def cancel(self) -> None:
        """Stop now and keep what has arrived."""
        self._cutter.now()

    def _run(self) -> None:
        try:
            self._fetch()
            self.partial.replace(self.path)
            for journal in self.partial.parent.glob(self.partial.name + "-*"):
                journal.unlink()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(None)

    def _fetch(self) -> None:
        descriptor = os.open(self.partial, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.truncate(descriptor, self.total)
            unfinished = [part for part in self.parts if not part.done]
            if not unfinished:
                return
            direct = self.client.direct_url(self.url, self._cutter)
            with concurrent.futures.ThreadPoolExecutor(PARTS) as pool:
                jobs = [pool.submit(self._part, descriptor, direct, part) for part in unfinished]
                done, _rest = concurrent.futures.wait(
                    jobs, return_when=concurrent.futures.FIRST_EXCEPTION
                )
                failed = next((job for job in done if job.exception()), None)
                if failed is not None:
                    self._cutter.now()
                    failed.result()
        finally:
            os.close(descriptor)

    def _part(self, descriptor: int, direct: str, part: Part) -> None:
        tries = 0
        last: Exception | None = None
        while tries < MAX_TRIES:
            try:
                self._transfer(descriptor, direct, part)
                return
            except Stalled:
                log.info(f"{self.path.name[7:19]} part {part.number} stalled; retrying")
                continue
            except Cancelled:
                raise
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise ApiError(f"write {self.partial}: no space left on device") from None
                last = error
            except (ApiError, http.client.HTTPException, NotFound) as error:
                last = error
            delay = self.backoff * math.pow(2, tries)
            log.info(f"{self.path.name[7:19]} part {part.number} attempt {tries} failed: {last}")
            if self._cutter.cut.wait(delay):
                raise Cancelled
            tries += 1
        raise ApiError(f"max retries exceeded: {last}")

    def _transfer(self, descriptor: int, direct: str, part: Part) -> None:
        begin, end = part.offset + part.completed, part.offset + part.size
        headers = {"Range": f"bytes={begin}-{end - 1}"}
        try:
            with self.client.open(
                "GET", direct, headers, cutter=self._cutter, agent=DIRECT_AGENT
            ) as response:
                # Like the real server this trusts the answer to be the range it asked for.
                self._copy(response, descriptor, part)
        finally:
            part.save(self.partial)

    def _copy(self, response: http.client.HTTPResponse, descriptor: int, part: Part) -> None:
        while not part.done:
            if self._cutter.cut.is_set():
                raise Cancelled
            try:
                data = response.read1(min(CHUNK, part.size - part.completed))
            except TimeoutError:
                raise Stalled from None
            except OSError:
                if self._cutter.cut.is_set():
                    raise Cancelled from None
                raise
            if not data and self._cutter.cut.is_set():
                raise Cancelled
            if not data:
                raise http.client.IncompleteRead(b"", part.size - part.completed)
            os.pwrite(descriptor, data, part.offset + part.completed)
            part.completed += len(data)


class Downloads:
    """All downloads of a server, one per blob."""

    def __init__(self, client: RegistryClient, *, backoff: float = 1.0) -> None:
        self.client = client
        self.backoff = backoff
        self._lock = threading.Lock()
        self._active: dict[Path, BlobDownload] = {}

    @contextlib.contextmanager
    def share(self, url: str, path: Path) -> t.Iterator[BlobDownload]:
        """Give the running download of a blob or a new one; the last to leave cancels it."""
        with self._lock:
            download = self._active.get(path)
            fresh = download is None
            if download is None:
                download = BlobDownload(self.client, url, path, backoff=self.backoff)
                self._active[path] = download
            download.users += 1
        try:
            if fresh:
                self._start(download)
            yield download
        finally:
            self._leave(download)

    def _start(self, download: BlobDownload) -> None:
        try:
            download.start()
        except BaseException as error:
            download.future.set_exception(error)

    def _leave(self, download: BlobDownload) -> None:
        with self._lock:
            download.users -= 1
            last = download.users == 0
            if last:
                self._active.pop(download.path, None)
        if last and not download.future.done():
            download.cancel()
            # The partial state must be on disk before another pull reads it.
            with contextlib.suppress(Exception):
                download.future.exception(timeout=5)


def wait_until_idle(downloads: Downloads, seconds: float = 5.0) -> bool:
    """Wait for running downloads to stop; for a graceful end of the server."""
    deadline = time.monotonic() + seconds
    while downloads._active and time.monotonic() < deadline:
        time.sleep(0.02)
    return not downloads._active

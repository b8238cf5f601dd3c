# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/pull`: the manifest, every blob it names, verification, and only then the new manifest."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import typing as t
from pathlib import Path

from lab.ollama.answers import Events
from lab.ollama.download import BlobDownload, Downloads
from lab.ollama.errors import ApiError
from lab.ollama.names import Name
from lab.ollama.registry_client import Cancelled, NotFound
from lab.ollama.store import Layer, Manifest, Store, parse_manifest

PROGRESS_SECONDS = 0.06
MISSING = "file does not exist"


@dataclasses.dataclass(frozen=True)
class Puller:
    """Pulls into one store."""

    store: Store
    downloads: Downloads
    noprune: bool

    async def pull(self, name: Name, *, insecure: bool) -> Events:
        """Yield the progress of a pull; an ApiError ends it with nothing changed but blobs."""
        base = f"{'http' if insecure else 'https'}://{name.host}/v2/{name.namespace}/{name.model}"
        yield {"status": "pulling manifest"}
        manifest = await self._manifest(f"{base}/manifests/{name.tag}")
        fresh: list[Layer] = []
        for layer in manifest.blobs:
            path = self.store.blob_path(layer.digest)
            if path.exists():
                yield _progress(layer.digest, path.stat().st_size, path.stat().st_size)
                continue
            fresh.append(layer)
            events = self._blob(f"{base}/blobs/{layer.digest}", layer.digest, path)
            # An abandoned inner generator would keep its download until it is collected.
            async with contextlib.aclosing(events):
                async for event in events:
                    yield event
        yield {"status": "verifying sha256 digest"}
        for layer in fresh:
            await asyncio.to_thread(verify, self.store.blob_path(layer.digest), layer.digest)
        yield {"status": "writing manifest"}
        before = self._previous(name)
        self.store.write_manifest(name, manifest.raw)
        unused = [layer for layer in before if layer not in manifest.blobs]
        if unused and not self.noprune:
            yield {"status": "removing unused layers"}
            self.store.remove_unused(unused)
        yield {"status": "success"}

    async def _manifest(self, url: str) -> Manifest:
        try:
            raw = await asyncio.to_thread(self.downloads.client.manifest, url)
            return parse_manifest(raw)
        except NotFound:
            raise ApiError(f"pull model manifest: {MISSING}") from None
        except ApiError as error:
            prefix = "" if str(error).startswith("unauthorized") else "pull model manifest: "
            raise ApiError(f"{prefix}{error}") from None
        except ValueError as error:
            raise ApiError(f"pull model manifest: {error}") from None

    def _previous(self, name: Name) -> tuple[Layer, ...]:
        with contextlib.suppress(ApiError):
            installed = self.store.find(name)
            if installed is not None:
                return installed.manifest.blobs
        return ()

    async def _blob(self, url: str, digest: str, path: Path) -> Events:
        shared = self.downloads.share(url, path)
        download = await asyncio.to_thread(shared.__enter__)
        try:
            async with contextlib.aclosing(_watch(download, digest)) as events:
                async for event in events:
                    yield event
        except NotFound:
            raise ApiError(MISSING) from None
        except Cancelled:
            raise ApiError("context canceled") from None
        finally:
            # Runs on a client's disconnect too, so it must not wait for the event loop.
            shared.__exit__(None, None, None)


async def _watch(download: BlobDownload, digest: str) -> Events:
    finished = asyncio.wrap_future(download.future)
    finished.add_done_callback(lambda future: future.cancelled() or future.exception())
    while True:
        done, _pending = await asyncio.wait({finished}, timeout=PROGRESS_SECONDS)
        if done:
            finished.result()
            return
        if download.parts:
            yield _progress(digest, download.total, download.completed)


def _progress(digest: str, total: int, completed: int) -> dict[str, t.Any]:
    event: dict[str, t.Any] = {"status": f"pulling {digest[7:19]}", "digest": digest}
    event |= {"total": total} if total else {}
    return event | ({"completed": completed} if completed else {})


def verify(path: Path, digest: str) -> None:
    """Hash a blob; one that is not what its name says is removed."""
    with path.open("rb") as file:
        got = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    if got != digest:
        path.unlink()
        raise ApiError(f"digest mismatch, file must be downloaded again: want {digest}, got {got}")

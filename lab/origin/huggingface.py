# SPDX-License-Identifier: GPL-3.0-or-later
"""Hugging Face's resolve protocol: metadata here, the bytes of large files on another host name.

Layout under `<root>/hf`: `<owner>/<name>/<revision>/<path>`. A `gated.json` beside the revisions
closes the repository to whoever sends no token; its `tokens`, if it has some, are the only good
ones.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing as t
import urllib.parse
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from lab.origin import faults
from lab.origin.body import FileBody
from lab.origin.content import CHANGES, Change, Content
from lab.origin.signing import Signer
from lab.origin.static import content_type, resolve

PREFIX, CDN_PREFIX = "/hf", "/hf-cdn"
#: What a repository keeps outside of git, whatever its size; anything this large goes there too.
_LARGE_KINDS = {".gguf", ".safetensors", ".bin", ".onnx", ".pt", ".pth", ".h5", ".zip", ".gz"}
_LARGE = 10 << 20
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}$")
_BEARER = re.compile(r"^Bearer +(\S+)$", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """One commit of a repository: a revision's files, or what they are after a change upstream."""

    folder: Path
    change: Change | None = None

    @property
    def commit(self) -> str:
        digest = hashlib.sha1(f"{self.folder.parent.name}@{self.folder.name}\n".encode())
        for path in self.files():
            plain = Content(path)
            line = f"{path.relative_to(self.folder)} {plain.size} {plain.sha256()}\n"
            digest.update(line.encode())
        digest.update((self.change or "").encode())
        return digest.hexdigest()

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def content(self, path: str) -> Content | None:
        file = resolve(self.folder, path)
        return Content(file, self.change) if file else None


@dataclasses.dataclass(frozen=True)
class Hub:
    """The endpoints over one directory of repositories."""

    root: Path
    cdn_host: str | None
    signer: Signer

    def resolve(self, request: Request) -> Response:
        """Answer for a file: itself if small, else its identity and where its bytes are."""
        found = self._find(request)
        if isinstance(found, Response):
            return found
        refused = _gate(request, self._repository(request))
        if refused is not None:
            return refused
        snapshot = self._changed(request, found)
        path = request.path_params["path"]
        content = snapshot.content(path)
        if content is None:
            return _error(404, "EntryNotFound", "Entry not found", commit=snapshot.commit)
        headers = {"x-repo-commit": snapshot.commit, "vary": "Origin, Accept"}
        if not is_large(content.path):
            return FileBody(
                content,
                content_type=content_type(content.path),
                etag=f'"{content.git_sha1()}"',
                extra_headers=headers,
            )
        etag = f'"{content.sha256()}"'
        headers |= {
            "x-linked-size": str(content.size),
            "x-linked-etag": etag,
            "etag": etag,
            "accept-ranges": "bytes",
            "location": self._cdn_url(request, snapshot, path),
        }
        return PlainTextResponse("Found. The file is elsewhere.\n", 302, headers=headers)

    def cdn_file(self, request: Request) -> Response:
        """Answer with the bytes themselves, to whoever comes with a good URL."""
        refusal = self.signer.refusal(request.scope["path"], request.query_params)
        if refusal is None and faults.take(request.scope, "expire"):
            refusal = "Request has expired"
        if refusal:
            text = f"<Error><Code>AccessDenied</Code><Message>{refusal}</Message></Error>\n"
            return Response(text, 403, media_type="application/xml")
        snapshot = self._snapshot(self._repository(request), request.path_params["commit"])
        content = snapshot.content(request.path_params["path"]) if snapshot else None
        if content is None:
            text = "<Error><Code>NoSuchKey</Code></Error>\n"
            return Response(text, 404, media_type="application/xml")
        return FileBody(content)

    def tree(self, request: Request) -> Response:
        """Answer with the files of a folder, or of all folders below it."""
        found = self._find(request)
        if isinstance(found, Response):
            return found
        top = (found.folder / request.path_params.get("path", "")).resolve()
        if not top.is_relative_to(found.folder.resolve()) or not top.is_dir():
            return _error(404, "EntryNotFound", "Entry not found", commit=found.commit)
        recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
        entries = [
            _entry(found, path) for path in sorted(top.rglob("*") if recursive else top.iterdir())
        ]
        return JSONResponse(entries, headers={"x-repo-commit": found.commit})

    def _find(self, request: Request) -> Snapshot | Response:
        repository = self._repository(request)
        if repository is None:
            return _error(404, "RepoNotFound", "Repository not found")
        snapshot = self._snapshot(repository, request.path_params["revision"])
        return snapshot or _error(404, "RevisionNotFound", "Invalid rev id")

    def _repository(self, request: Request) -> Path | None:
        names = [request.path_params[key] for key in ("owner", "name")]
        repository = self.root.joinpath(*names)
        return repository if all(map(_NAME.match, names)) and repository.is_dir() else None

    def _snapshot(self, repository: Path | None, revision: str) -> Snapshot | None:
        """The commit that a branch's name or a commit's own name stands for."""
        if repository is None or not _NAME.match(revision):
            return None
        if (repository / revision).is_dir():
            return Snapshot(repository / revision)
        folders = sorted(path for path in repository.iterdir() if path.is_dir())
        known = (Snapshot(folder, change) for folder in folders for change in (None, *CHANGES))
        return next((snapshot for snapshot in known if snapshot.commit == revision), None)

    def _changed(self, request: Request, snapshot: Snapshot) -> Snapshot:
        """The snapshot, or the one that has taken its place by order; commits never change."""
        if request.path_params["revision"] != snapshot.folder.name:
            return snapshot
        change = faults.take(request.scope, "change_file")
        return dataclasses.replace(snapshot, change=change) if change else snapshot

    def _cdn_url(self, request: Request, snapshot: Snapshot, path: str) -> str:
        host = self.cdn_host or request.url.netloc
        if ":" not in host and request.url.port:
            host = f"{host}:{request.url.port}"
        repository = "{owner}/{name}".format_map(request.path_params)
        target = f"{CDN_PREFIX}/{repository}/{snapshot.commit}/{path}"
        expired = faults.take(request.scope, "expire") is not None
        query = self.signer.query(target, expired=expired)
        return f"http://{host}{urllib.parse.quote(target)}?{query}"


def hub_routes(hub: Hub) -> list[BaseRoute]:
    """Return the routes of the hub's own host."""
    repository = "{owner}/{name}"
    tree = f"{PREFIX}/api/models/{repository}/tree/{{revision}}"
    return [
        Route(tree, hub.tree),
        Route(tree + "/{path:path}", hub.tree),
        Route(
            f"{PREFIX}/{repository}/resolve/{{revision}}/{{path:path}}",
            hub.resolve,
            methods=["GET", "HEAD"],
        ),
    ]


def hub_cdn_routes(hub: Hub) -> list[BaseRoute]:
    """Return the routes of the host name that large files are redirected to."""
    path = CDN_PREFIX + "/{owner}/{name}/{commit}/{path:path}"
    return [Route(path, hub.cdn_file, methods=["GET", "HEAD"])]


def is_large(path: Path) -> bool:
    """Return whether a file is kept outside of git."""
    return path.suffix in _LARGE_KINDS or path.stat().st_size >= _LARGE


def _gate(request: Request, repository: Path | None) -> Response | None:
    """The refusal of a gated repository, if it is one and refuses."""
    gate = repository / "gated.json" if repository else None
    if gate is None or not gate.is_file():
        return None
    sent = _BEARER.match(request.headers.get("authorization", ""))
    if sent is None:
        return _error(401, "GatedRepo", "Access to this repository is restricted. Please log in.")
    tokens = json.loads(gate.read_bytes()).get("tokens")
    if tokens is not None and sent[1] not in tokens:
        return _error(403, "GatedRepo", "Access to this repository is not granted to this token.")
    return None


def _entry(snapshot: Snapshot, path: Path) -> dict[str, t.Any]:
    """One line of a listing."""
    name = str(path.relative_to(snapshot.folder.resolve()))
    if path.is_dir():
        oid = hashlib.sha1(f"{snapshot.commit} {name}".encode()).hexdigest()
        return {"type": "directory", "oid": oid, "size": 0, "path": name}
    content = snapshot.content(name)
    assert content
    entry: dict[str, t.Any] = {"type": "file", "size": content.size, "path": name}
    if not is_large(path):
        return {**entry, "oid": content.git_sha1()}
    sha256 = content.sha256()
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {content.size}\n"
    ).encode()
    oid = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
    lfs = {"oid": sha256, "size": content.size, "pointerSize": len(pointer)}
    return {**entry, "oid": oid, "lfs": lfs}


def _error(status: int, code: str, message: str, *, commit: str | None = None) -> Response:
    headers = {"x-error-code": code, "x-error-message": message}
    if commit:
        headers["x-repo-commit"] = commit
    return JSONResponse({"error": message}, status, headers=headers)

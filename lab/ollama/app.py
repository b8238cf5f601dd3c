# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP API as one ASGI application: routes, and the checks every handler starts with."""

from __future__ import annotations

import contextlib
import time
import typing as t
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lab.ollama import blobs, fields, generation, gofmt, names, show
from lab.ollama.answers import Stream, answer, error_answer
from lab.ollama.create import Creator, check
from lab.ollama.download import Downloads
from lab.ollama.engine import Engine
from lab.ollama.errors import ApiError, model_not_found
from lab.ollama.model import details, load
from lab.ollama.names import Name
from lab.ollama.pull import Puller
from lab.ollama.push import push
from lab.ollama.registry_client import RegistryClient
from lab.ollama.scheduler import Scheduler
from lab.ollama.settings import Settings
from lab.ollama.store import Installed, Store


class Server:
    """The state behind the routes, and the handlers."""

    def __init__(self, store: Store, engine: Engine, settings: Settings, backoff: float) -> None:
        self.store = store
        self.settings = settings
        self.scheduler = Scheduler(engine, settings)
        self.downloads = Downloads(RegistryClient(settings.full_version), backoff=backoff)
        self.puller = Puller(store, self.downloads, settings.noprune)
        self.creator = Creator(store, self.puller, settings.noprune)

    async def root(self, _request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def version(self, _request: Request) -> Response:
        return answer({"version": self.settings.full_version})

    async def status(self, _request: Request) -> Response:
        off = self.settings.no_cloud
        return answer({"cloud": {"disabled": off, "source": "env" if off else "none"}})

    async def tags(self, _request: Request) -> Response:
        entries = [show.list_entry(self.store, model) for model in self.store.installed()]
        return answer({"models": entries})

    async def show(self, request: Request) -> Response:
        body = fields.decode(await request.body(), "ShowRequest")
        installed = self.require(wanted_name(body), shown=None)
        model = load(self.store, installed)
        return answer(
            show.show(model, verbose=body.get("verbose", False), system=body.get("system", ""))
        )

    async def ps(self, _request: Request) -> Response:
        return answer(
            {
                "models": [
                    {
                        "name": runner.model.installed.name.short,
                        "model": runner.model.installed.name.short,
                        "size": runner.size,
                        "digest": runner.model.digest,
                        "details": details(runner.model.config, runner.model.parent),
                        "expires_at": gofmt.rfc3339(runner.expires_at),
                        "size_vram": runner.held.size,
                        "context_length": runner.context,
                    }
                    for runner in self.scheduler.running()
                ]
            }
        )

    async def pull(self, request: Request) -> Response:
        body = fields.decode(await request.body(), "PullRequest")
        name = names.parse(wanted_name(body, required=False))
        if not name.valid:
            raise ApiError("invalid model name", 400)
        events = self.puller.pull(self.store.existing(name), insecure=body.get("insecure", False))
        return Stream(events, stream=body.get("stream", True))

    async def push(self, request: Request) -> Response:
        body = fields.decode(await request.body(), "PushRequest")
        name = names.parse(wanted_name(body))
        return Stream(push(self.store, name), stream=body.get("stream", True))

    async def create(self, request: Request) -> Response:
        body = fields.decode(await request.body(), "CreateRequest")
        name = names.parse(wanted_name(body, required=False))
        if not name.valid:
            raise ApiError("invalid model name", 400)
        check(body)
        events = self.creator.create(self.store.existing(name), body)
        return Stream(events, stream=body.get("stream", True))

    async def copy(self, request: Request) -> Response:
        body = fields.decode(await request.body(), "CopyRequest")
        source_text, target_text = body.get("source", ""), body.get("destination", "")
        source, target = names.parse(source_text), names.parse(target_text)
        for kind, text, name in (
            ("source", source_text, source),
            ("destination", target_text, target),
        ):
            if not name.valid:
                raise ApiError(f'{kind} "{text}" is invalid', 400)
        source, target = self.store.existing(source), self.store.existing(target)
        if source == target:
            return Response(status_code=200)
        installed = self.store.find(source)
        if installed is None:
            raise model_not_found(source_text, quote='"')
        self.store.write_manifest(target, installed.manifest.raw)
        return Response(status_code=200)

    async def delete(self, request: Request) -> Response:
        body = fields.decode(await request.body(), "DeleteRequest")
        text = wanted_name(body)
        name = names.parse(text)
        if not name.valid:
            raise ApiError(f'name "{text}" is invalid', 400)
        installed = self.store.find(self.store.existing(name))
        if installed is None:
            raise model_not_found(text)
        self.store.remove_manifest(installed)
        self.store.remove_unused(installed.manifest.blobs)
        return Response(status_code=200)

    def require(self, text: str, *, shown: str | None) -> Installed:
        """Return the installed model a request names; `shown` is how a 404 calls it."""
        name = names.parse(text)
        if not name.valid:
            raise ApiError("invalid model name", 400)
        name = self.store.existing(name)
        installed = self.store.find(name)
        if installed is None:
            raise model_not_found(name.short if shown is None else shown)
        return installed


def wanted_name(body: dict[str, t.Any], *, required: bool = True) -> str:
    """Return the model a request names, by the new or the deprecated field."""
    text = body.get("model") or body.get("name") or ""
    if required and not text:
        raise ApiError("model is required", 400)
    return str(text)


def create_app(
    store: Path,
    engine: Engine,
    *,
    settings: Settings | None = None,
    retry_backoff: float = 1.0,
) -> Starlette:
    """Return the API over a store directory; the start-up prune runs when it starts."""
    settings = settings or Settings()
    server = Server(Store(store), engine, settings, retry_backoff)
    server.store.tidy(prune=not settings.noprune)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> t.AsyncIterator[None]:
        yield
        await server.scheduler.close()

    get, post = ["GET", "HEAD"], ["POST"]
    routes = [
        Route("/", server.root, methods=get),
        Route("/api/version", server.version, methods=get),
        Route("/api/status", server.status, methods=["GET"]),
        Route("/api/tags", server.tags, methods=get),
        Route("/api/show", server.show, methods=post),
        Route("/api/ps", server.ps, methods=["GET"]),
        Route("/api/pull", server.pull, methods=post),
        Route("/api/push", server.push, methods=post),
        Route("/api/create", server.create, methods=post),
        Route("/api/copy", server.copy, methods=post),
        Route("/api/delete", server.delete, methods=["DELETE"]),
        *blobs.routes(server.store),
        *generation.routes(server),
    ]
    handlers: t.Any = {
        ApiError: _api_error,
        HTTPException: _http_error,
        FileNotFoundError: _missing_blob,
    }
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.state.server = server
    app.state.started = time.time()
    return app


def _api_error(_request: Request, error: Exception) -> Response:
    return error_answer(t.cast(ApiError, error))


def _missing_blob(_request: Request, error: Exception) -> Response:
    missing = t.cast(FileNotFoundError, error)
    return answer({"error": f"open {missing.filename}: no such file or directory"}, 500)


def _http_error(_request: Request, error: Exception) -> Response:
    status = t.cast(HTTPException, error).status_code
    text = {404: "404 page not found", 405: "405 method not allowed"}.get(status, str(error))
    # Said as bytes: a text answer would get a charset that the real server does not send.
    return Response(text.encode(), status, {"content-type": "text/plain"})


__all__ = ["Name", "Server", "create_app"]

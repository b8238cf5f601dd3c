# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry of container images, as far as somebody asks who fetches none."""

from __future__ import annotations

import hashlib
import json

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Images:
    """Manifests by tag and digest, blobs by digest; C(token): what a caller must show."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token
        self.content: dict[str, bytes] = {}
        self.fault: Response | None = None

    def put(self, content: object, *names: str) -> str:
        raw = json.dumps(content).encode()
        for name in (digest_of(raw), *names):
            self.content[name] = raw
        return digest_of(raw)

    def image(self, architecture: str, *sizes: int, tag: str = "-") -> str:
        """A manifest with layers of these sizes; its configuration counts 7 bytes."""
        config = {"digest": self.put({"architecture": architecture, "os": "linux"}), "size": 7}
        layers = [{"digest": f"sha256:{size:064x}", "size": size} for size in sizes]
        return self.put({"mediaType": MANIFEST, "config": config, "layers": layers}, tag)

    def index(self, platforms: dict[str, str], tag: str = "-") -> str:
        """An index over the images of platforms such as linux/amd64."""
        manifests = [
            {"digest": digest, "platform": {"os": os, "architecture": architecture}}
            for (os, _, architecture), digest in (
                (platform.partition("/"), digest) for platform, digest in platforms.items()
            )
        ]
        return self.put({"mediaType": INDEX, "manifests": manifests}, tag)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/token", self._hand_out),
                Route("/v2/{repository:path}/manifests/{name}", self._serve),
                Route("/v2/{repository:path}/blobs/{name}", self._serve),
            ]
        )

    async def _hand_out(self, request):
        scope = request.query_params["scope"]
        return JSONResponse({"token": self.token} if scope == "repository:some:pull" else {})

    async def _serve(self, request):
        if self.fault is not None:
            return self.fault
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            realm = request.url_for("_hand_out")
            challenge = f'Bearer realm="{realm}",service="here",scope="repository:some:pull"'
            return Response(status_code=401, headers={"WWW-Authenticate": challenge})
        content = self.content.get(request.path_params["name"])
        return Response(status_code=404) if content is None else Response(content)

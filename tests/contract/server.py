# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests need of the two servers: raw requests, and a registry whose content is known."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing as t
from pathlib import Path

import httpx

JsonObject = dict[str, t.Any]
KIND = "application/vnd.ollama.image."
CONFIG = "application/vnd.docker.container.image.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

_BLOB = re.compile(r"^FROM .*sha256-([0-9a-f]{64})$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server. Its store is None where the suite cannot look at it."""

    http: httpx.Client
    store: Path | None = None

    def post(self, path: str, **body: t.Any) -> httpx.Response:
        return self.http.post(f"/api/{path}", json=body)

    def done(self, path: str, **body: t.Any) -> httpx.Response:
        """The answer to a request that must succeed."""
        answer = self.post(path, **body)
        assert answer.is_success, answer.text
        return answer

    def lines(self, path: str, **body: t.Any) -> list[JsonObject]:
        """The lines of a stream, which begins with HTTP 200 whatever comes later."""
        answer = self.done(path, **body)
        assert answer.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in answer.text.split("\n") if line]

    def pull(self, model: str) -> list[JsonObject]:
        """The lines of a pull that must succeed."""
        lines = self.lines("pull", model=model, insecure=True)
        assert lines[-1] == {"status": "success"}, lines[-1]
        return lines

    def create(self, model: str, **body: t.Any) -> list[JsonObject]:
        """The lines of a create that must succeed."""
        lines = self.lines("create", model=model, **body)
        assert lines[-1] == {"status": "success"}, lines[-1]
        return lines

    def delete(self, model: str) -> httpx.Response:
        return self.http.request("DELETE", "/api/delete", json={"model": model})

    def upload(self, content: bytes) -> str:
        """Have a blob; gives its digest."""
        digest = digest_of(content)
        assert self.http.post(f"/api/blobs/{digest}", content=content).is_success
        return digest

    def tags(self) -> dict[str, JsonObject]:
        """The installed models by name."""
        return {entry["name"]: entry for entry in self.http.get("/api/tags").json()["models"]}

    def digest(self, model: str) -> str:
        has_tag = ":" in model.rpartition("/")[2]
        return str(self.tags()[model if has_tag else f"{model}:latest"]["digest"])

    def show(self, model: str) -> JsonObject:
        shown: JsonObject = self.done("show", model=model).json()
        return shown

    def weights(self, model: str) -> str:
        """The hex digest of the blob with the model's weights."""
        found = _BLOB.search(self.show(model)["modelfile"])
        assert found
        return found.group(1)

    def running(self) -> dict[str, JsonObject]:
        """The loaded models by name."""
        return {entry["name"]: entry for entry in self.http.get("/api/ps").json()["models"]}


def digest_of(content: bytes) -> str:
    """The name of a blob with that content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def failure(answer: httpx.Response) -> tuple[int, str]:
    """Status and text of an answer that is an error."""
    return answer.status_code, answer.json()["error"]


@dataclasses.dataclass(frozen=True)
class Registry:
    """The lab's model registry on loopback."""

    root: Path
    url: str
    http: httpx.Client

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def name(self, model: str) -> str:
        """How a server calls a model of this registry."""
        return f"{self.host}/library/{model}"

    def offer(self, model: str, layers: t.Mapping[str, bytes], *, indent: int | None = None) -> str:
        """Offer a model, replacing what had the name; gives the hex digest of its manifest."""
        config = json.dumps({"model_format": "gguf", "model_family": "llama",
                             "model_families": ["llama"], "model_type": "2M",
                             "file_type": "F32"}).encode()  # fmt: skip
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(config, CONFIG),
            "layers": [self._blob(content, KIND + kind) for kind, content in layers.items()],
        }
        raw = json.dumps(manifest, indent=indent).encode()
        path = self.manifest(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return hashlib.sha256(raw).hexdigest()

    def manifest(self, model: str) -> Path:
        """The file with the bytes that the registry sends."""
        name, _colon, tag = model.partition(":")
        return self.root / "registry" / "manifests" / "library" / name / (tag or "latest")

    def blob(self, digest: str) -> Path:
        return self.root / "registry" / "blobs" / digest.replace(":", "-")

    def mark(self) -> int:
        """The point in the record from which `since` looks."""
        return int(self.http.get("/_lab/record/mark").json()["next"])

    def since(self, mark: int) -> list[JsonObject]:
        """The requests answered since then."""
        answer = self.http.get("/_lab/record", params={"since": mark})
        return [json.loads(line) for line in answer.text.splitlines()]

    def misbehave(self, path: str, action: JsonObject, *, count: int = 1) -> None:
        """Order a fault for the next requests of that path."""
        rule = {"match": {"path": path}, "action": action, "count": count}
        assert self.http.post("/_lab/faults", json=[rule]).is_success

    def behave(self) -> None:
        self.http.delete("/_lab/faults")

    def _blob(self, content: bytes, media_type: str) -> JsonObject:
        digest = digest_of(content)
        self.blob(digest).parent.mkdir(parents=True, exist_ok=True)
        self.blob(digest).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images as registries tell about them: names, digests, sizes. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import typing as t

from . import web
from .errors import EdgellmError, Refused
from .web import httpx

HUB = "docker.io"
_HUB_API = "registry-1.docker.io"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_{1,2}|-+|/)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
# The kernel's words for what registries call by Go's.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

JsonObject = dict[str, t.Any]


class ImageError(EdgellmError):
    """The registry does not answer, or not with the image."""


@dataclasses.dataclass(frozen=True)
class Reference:
    """An image's complete name. With a digest the tag says nothing."""

    registry: str
    repository: str
    tag: str
    digest: str | None = None

    @property
    def target(self) -> str:
        return self.digest or self.tag

    def __str__(self) -> str:
        name = f"{self.registry}/{self.repository}:{self.tag}"
        return f"{name}@{self.digest}" if self.digest else name


@dataclasses.dataclass(frozen=True)
class Image:
    """What a registry offers. C(digest) is that of the name, C(platform_digest) of its platform."""

    reference: str
    digest: str
    platform_digest: str
    architecture: str
    size: int


def parse_reference(text: str) -> Reference:
    """The complete name that the engine would understand, or Refused with the reason."""
    rest, at, digest = text.partition("@")
    head, slash, tail = rest.partition("/")
    # As the engine has it: the first part is a registry when it cannot be anything else.
    if slash and ("." in head or ":" in head or head == "localhost"):
        registry, rest = head, tail
    else:
        registry = HUB
    repository, colon, tag = rest.partition(":")
    if registry in ("index.docker.io", _HUB_API):
        registry = HUB
    if registry == HUB and "/" not in repository:
        repository = f"library/{repository}"
    tag = tag if colon else "latest"
    for good, complaint in (
        (_REPOSITORY.fullmatch(repository), f"the repository {repository!r} is not a name"),
        (_TAG.fullmatch(tag), f"the tag {tag!r} is not one"),
        (not at or _DIGEST.fullmatch(digest), f"the digest {digest!r} is not sha256:<64 digits>"),
    ):
        if not good:
            raise Refused(
                f"Invalid image {text!r}: {complaint} "
                "(expected [registry/][namespace/]repository[:tag][@sha256:...], in lower case)."
            )
    return Reference(registry, repository, tag, digest if at else None)


def base_url(reference: Reference, mirror: str | None = None) -> str:
    """Where to ask for the image; as with the engine, a mirror stands in for Docker Hub alone."""
    if mirror and not re.fullmatch(r"https?://[^/\s]+/?", mirror):
        raise Refused(f"mirror {mirror!r} must be http(s)://host[:port] and nothing more.")
    if reference.registry != HUB:
        return f"https://{reference.registry}"
    return mirror.rstrip("/") if mirror else f"https://{_HUB_API}"


def look_up(reference: Reference, url: str, *, architecture: str, timeout: float) -> Image:
    """What the registry offers under this name for this architecture."""
    wanted = _ARCHITECTURES.get(architecture, architecture)
    with web.open_client(
        url, timeout=timeout, headers={"User-Agent": "edgellm.host"}, follow_redirects=True
    ) as http:
        registry = _Registry(http, reference, url)
        digest, content = registry.manifest(reference.target)
        platform_digest = digest
        if content.get("mediaType") in _INDEXES or "manifests" in content:
            platform_digest, content = registry.manifest(_pick(reference, content, wanted))
        else:
            _refuse_architecture(reference, registry.config(content), wanted)
        try:
            size = sum(part["size"] for part in (content["config"], *content["layers"]))
        except (KeyError, TypeError) as error:
            raise registry.not_an_image() from error
    return Image(str(reference), digest, platform_digest, wanted, size)


def _pick(reference: Reference, index: JsonObject, architecture: str) -> str:
    platforms = {
        (entry.get("platform") or {}).get("architecture"): str(entry.get("digest"))
        for entry in reversed(index.get("manifests") or [])
        if (entry.get("platform") or {}).get("os") == "linux"
    }
    if architecture not in platforms:
        raise _wrong_architecture(reference, architecture, sorted(filter(None, platforms)))
    return platforms[architecture]


def _refuse_architecture(reference: Reference, config: JsonObject, architecture: str) -> None:
    found = config.get("architecture")
    if found != architecture:
        raise _wrong_architecture(reference, architecture, [str(found)])


def _wrong_architecture(reference: Reference, wanted: str, found: list[str]) -> ImageError:
    return ImageError(
        f"The image {reference} is not made for {wanted}, only for {', '.join(found) or 'nothing'}."
        " Choose another image or tag."
    )


class _Registry:
    """One repository of a registry, with the token that it hands to anybody."""

    def __init__(self, http: httpx.Client, reference: Reference, url: str) -> None:
        self._http = http
        self._reference = reference
        self._url = url
        self._token: str | None = None

    def manifest(self, target: str) -> tuple[str, JsonObject]:
        """Digest and content of a manifest, by tag or digest."""
        response = self._get(f"manifests/{target}", ", ".join(_INDEXES + _MANIFESTS))
        digest = f"sha256:{hashlib.sha256(response.content).hexdigest()}"
        if target.startswith("sha256:") and digest != target:
            raise ImageError(
                f"{self._url} answered for {self._reference.repository}@{target} with content of "
                f"another digest, {digest}. Is a proxy in between?"
            )
        return digest, self._json(response)

    def config(self, manifest: JsonObject) -> JsonObject:
        """The image's configuration, which names the platform when no index does."""
        try:
            digest = manifest["config"]["digest"]
        except (KeyError, TypeError) as error:
            raise self.not_an_image() from error
        return self._json(self._get(f"blobs/{digest}", "*/*"))

    def not_an_image(self) -> ImageError:
        return ImageError(
            f"{self._url} answered for {self._reference} with something that is not an image's "
            "manifest. Is it a registry for container images, or is a proxy in between?"
        )

    def _json(self, response: httpx.Response) -> JsonObject:
        try:
            content = json.loads(response.content)
        except ValueError as error:
            raise self.not_an_image() from error
        if not isinstance(content, dict):
            raise self.not_an_image()
        return content

    def _get(self, what: str, accept: str) -> httpx.Response:
        path = f"/v2/{self._reference.repository}/{what}"
        try:
            response = self._http.get(path, headers=self._headers(accept))
            if response.status_code == 401 and self._token is None:
                self._token = self._ask_token(response)
                response = self._http.get(path, headers=self._headers(accept))
        except httpx.HTTPError as error:
            raise ImageError(
                f"The registry {self._url} does not answer: {error or type(error).__name__}. "
                "On a network without it, name a mirror of Docker Hub."
            ) from error
        if not response.is_success:
            raise self._failure(response)
        return response

    def _headers(self, accept: str) -> dict[str, str]:
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return {"Accept": accept, **token}

    def _ask_token(self, response: httpx.Response) -> str:
        scheme, _, rest = response.headers.get("www-authenticate", "").partition(" ")
        challenge = dict(_PARAMETER.findall(rest))
        realm = challenge.get("realm", "")
        if scheme.lower() != "bearer" or not realm.startswith(("http://", "https://")):
            raise self._failure(response)
        asked = {key: challenge[key] for key in ("service", "scope") if key in challenge}
        answer = self._http.get(realm, params=asked)
        content = self._json(answer) if answer.is_success else {}
        token = content.get("token") or content.get("access_token")
        if not token:
            raise self._failure(response)
        return str(token)

    def _failure(self, response: httpx.Response) -> ImageError:
        status, image = response.status_code, self._reference
        if status == 404:
            return ImageError(
                f"The registry {self._url} has no image {image} (404). Check the spelling of the "
                "name and the tag."
            )
        if status in (401, 403):
            return ImageError(
                f"The registry {self._url} does not give {image} to anonymous callers ({status}): "
                "the name is misspelled, or the image is private."
            )
        if status == 429:
            return ImageError(
                f"The registry {self._url} limits how often it may be asked (429). Wait an hour, "
                "or name a mirror of Docker Hub."
            )
        said = response.text.strip()[:200]
        return ImageError(f"The registry {self._url} answered {status} for {image}: {said}")

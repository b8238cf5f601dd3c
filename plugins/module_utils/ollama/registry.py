# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry protocol as far as a plan needs it: one manifest per name. Private."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.edgellm.host.plugins.module_utils import web
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.web import httpx

from . import manifest, names
from .errors import RegistryError, UnknownModel

_ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a model's bytes come from: the name to pull there, and how the host is spoken to."""

    name: names.Name
    scheme: str = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.name.host}"

    @property
    def path(self) -> str:
        return f"/v2/{self.name.namespace}/{self.name.model}/manifests/{self.name.tag}"

    @property
    def insecure(self) -> bool:
        """Ollama's word for plain http."""
        return self.scheme == "http"


def place(name: names.Name, mirror: str | None = None) -> Place:
    """The model's own registry, or the mirror that stands in for it."""
    if not mirror:
        return Place(name)
    scheme, separator, rest = mirror.partition("://")
    authority, _slash, path = rest.partition("/")
    if not separator or scheme not in ("http", "https"):
        raise Refused(f"registry_mirror {mirror!r} must start with http:// or https://.")
    if path or not names.is_valid_part("host", authority):
        raise Refused(
            f"registry_mirror {mirror!r} must be http(s)://host[:port] and nothing more: "
            "Ollama takes no path, user or IPv6 address there."
        )
    return Place(name.on(authority), scheme)


def fetch(where: Place, *, version: str | None, timeout: float) -> manifest.Manifest:
    """The manifest the registry offers now. The version is that of the server that would pull."""
    # Registries judge by the version here whether the server is new enough for a model.
    agent = f"ollama/{version} (edgellm.host)" if version else "edgellm.host"
    headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity", "User-Agent": agent}
    try:
        with web.open_client(
            where.url, timeout=timeout, headers=headers, follow_redirects=True
        ) as http:
            response = http.get(where.path)
            if response.status_code == 401:
                token = _anonymous_token(http, where, response)
                response = http.get(where.path, headers={"Authorization": f"Bearer {token}"})
    except httpx.HTTPError as error:
        raise RegistryError(
            f"The model registry {where.url} does not answer: {error or type(error).__name__}. "
            "On a network without it, name a mirror in registry_mirror."
        ) from error
    if not response.is_success:
        raise _failure(where, response, version)
    try:
        return manifest.parse(response.content)
    except ValueError as error:
        raise RegistryError(
            f"{where.url}{where.path} answered with something that is not a manifest "
            f"({response.headers.get('content-type', 'no content type')}: {error}). "
            "Is it a registry for Ollama, or is a proxy in between?"
        ) from error


def _anonymous_token(http: httpx.Client, where: Place, response: httpx.Response) -> str:
    challenge = dict(_CHALLENGE.findall(response.headers.get("www-authenticate", "")))
    realm = challenge.pop("realm", "")
    # The server insists on this too: a token from elsewhere would be a way to be sent anywhere.
    if not realm or web.host_of(realm) != web.host_of(where.url):
        raise _failure(where, response, None)
    wanted = {key: challenge[key] for key in ("service", "scope") if key in challenge}
    answer = http.get(realm, params=wanted)
    try:
        return str(answer.json()["token"])
    except (ValueError, KeyError, TypeError):
        raise _failure(where, response, None) from None


def _failure(where: Place, response: httpx.Response, version: str | None) -> RegistryError:
    status, name = response.status_code, where.name.full
    said = response.text.strip()[:300]
    if status == 404:
        return UnknownModel(
            f"The registry {where.url} has no model {name} (404). "
            "Check the spelling of the name and the tag."
        )
    if status == 412:
        return RegistryError(
            f"The model {name} needs a newer Ollama than {version or 'the one named'} (412): "
            f"{said} Raise ollama_server_image."
        )
    if status in (401, 403):
        return RegistryError(
            f"The registry {where.url} does not give {name} to anonymous callers ({status}). "
            "A private or gated model needs a registry or mirror that serves it freely."
        )
    return RegistryError(f"The registry {where.url} answered {status} for {name}: {said}")

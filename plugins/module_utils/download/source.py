# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a file comes from: a file of a repository, or any URL. Pure. Private."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import urllib.parse

from ansible_collections.edgellm.host.plugins.module_utils import web

from .errors import Refused

HUB = "https://huggingface.co"
MAIN = "main"
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PAGES = ("resolve", "blob")


@dataclasses.dataclass(frozen=True)
class HubFile:
    """A file of a repository on an endpoint that speaks Hugging Face's resolve protocol."""

    repo: str
    file: str
    revision: str = MAIN
    endpoint: str = HUB

    @property
    def url(self) -> str:
        return self.at(self.revision)

    @property
    def name(self) -> str:
        return f"{self.repo}/{self.file}"

    @property
    def asked(self) -> str:
        """Equal for equal wishes; which endpoint serves them does not matter."""
        return _digest(f"hub {self.repo} {self.revision} {self.file}")

    def at(self, revision: str) -> str:
        """The URL of this file in another revision."""
        where = urllib.parse.quote(revision, safe="")
        return f"{self.endpoint}/{self.repo}/resolve/{where}/{urllib.parse.quote(self.file)}"


@dataclasses.dataclass(frozen=True)
class PlainUrl:
    """A file that has nothing but an address, which may hold a secret."""

    url: str

    @property
    def name(self) -> str:
        return without_secrets(self.url)

    @property
    def asked(self) -> str:
        return _digest(f"url {self.url}")

    def at(self, _revision: str) -> str:
        return self.url


Source = HubFile | PlainUrl


def hub_file(repo: str, file: str, revision: str = MAIN, endpoint: str = HUB) -> HubFile:
    """The file of the repository, or Refused with what is wrong about the names."""
    web.host_of(endpoint)
    if not _REPO.fullmatch(repo):
        raise Refused(f"repo {repo!r} is not a repository: it must be [namespace/]name.")
    if any(part in ("", ".", "..") for part in file.split("/")):
        raise Refused(f"file {file!r} is not a path inside a repository.")
    if not revision.strip():
        raise Refused("revision must be a branch, a tag or a commit.")
    return HubFile(repo, file, revision, endpoint.rstrip("/"))


def from_url(url: str, endpoint: str = HUB) -> Source:
    """What the URL means: one copied from the hub's pages is a file of a repository."""
    url, _hash, _fragment = url.strip().partition("#")
    web.host_of(url)
    for base in (HUB, endpoint.rstrip("/")):
        if url.startswith(f"{base}/"):
            found = _from_page(url.removeprefix(f"{base}/"), endpoint)
            if found:
                return found
    return PlainUrl(url)


def _from_page(path: str, endpoint: str) -> HubFile | None:
    parts = path.partition("?")[0].split("/")
    for at in (2, 1):
        if len(parts) > at + 2 and parts[at] in _PAGES:
            file = urllib.parse.unquote("/".join(parts[at + 2 :]))
            revision = urllib.parse.unquote(parts[at + 1])
            return hub_file("/".join(parts[:at]), file, revision, endpoint)
    return None


def without_secrets(url: str) -> str:
    """The URL without its query and without user and password."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def secrets_of(url: str) -> set[str]:
    """What of the URL must be shown to nobody."""
    parts = urllib.parse.urlsplit(url)
    user, _at, _host = parts.netloc.rpartition("@")
    return {secret for secret in (parts.query, user) if secret}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

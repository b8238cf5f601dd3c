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
_HUB_HOSTS = ("huggingface.co", "hf.co")
_WEB_PORTS = (None, 80, 443)
# Pages that show a file, and pages that show anything else of a repository.
_FILES = ("resolve", "blob", "raw")
_OTHER_PAGES = ("tree", "commits", "commit", "discussions", "blame", "edit", "settings")
# What comes first in addresses that are not of a model.
_OTHER_KINDS = ("datasets", "spaces", "api", "docs", "collections", "papers", "blog")


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
        # Who asks does not matter, and what is guessable should not even be kept as a hash.
        return _digest(f"url {_without_user(self.url)}")

    def at(self, _revision: str) -> str:
        return self.url


Source = HubFile | PlainUrl


def hub_file(repo: str, file: str, revision: str = MAIN, endpoint: str = HUB) -> HubFile:
    """The file of the repository, or Refused with what is wrong about the names."""
    web.host_of(endpoint, "endpoint")
    if not _REPO.fullmatch(repo):
        raise Refused(f"repo {repo!r} is not a repository: it must be [namespace/]name.")
    if any(part in ("", ".", "..") for part in file.split("/")):
        raise Refused(f"file {file!r} is not a path inside a repository.")
    if not revision.strip():
        raise Refused("revision must be a branch, a tag or a commit.")
    return HubFile(repo, file, revision, endpoint.rstrip("/"))


def from_url(url: str, endpoint: str = HUB, *, option: str = "url") -> Source:
    """What the URL means: one copied from the hub's pages is a file of a repository."""
    url, _hash, _fragment = url.strip().partition("#")
    web.host_of(url, option)
    path = _path_on_hub(url, endpoint.rstrip("/"))
    return (path is not None and _from_page(path, endpoint)) or PlainUrl(url)


def _path_on_hub(url: str, endpoint: str) -> str | None:
    """The path below the hub or below who serves in its place; None if it is of neither."""
    parts = urllib.parse.urlsplit(url)
    if (parts.hostname or "").removeprefix("www.") in _HUB_HOSTS and parts.port in _WEB_PORTS:
        return parts.path.strip("/")
    if url.startswith(f"{endpoint}/"):
        return url.removeprefix(f"{endpoint}/").partition("?")[0].strip("/")
    return None


def _from_page(path: str, endpoint: str) -> HubFile | None:
    parts = [urllib.parse.unquote(part) for part in path.split("/")]
    if parts[0] in _OTHER_KINDS:
        return None
    for at in (2, 1):
        if len(parts) > at and parts[at] in (*_FILES, *_OTHER_PAGES):
            repo, page, rest = "/".join(parts[:at]), parts[at], path.split("/")[at + 1 :]
            revision, file = _revision_and_file(rest)
            if page in _FILES and file:
                return hub_file(repo, file, revision, endpoint)
            raise _no_file(repo)
    if len(parts) == 2 and not path.endswith(".gguf"):
        raise _no_file(path)
    return None


def _revision_and_file(rest: list[str]) -> tuple[str, str]:
    """Revisions have no slash in an address, but for the hub's own references."""
    parts = [urllib.parse.unquote(part) for part in rest]
    length = 3 if parts[:1] == ["refs"] and parts[1:2] in (["pr"], ["convert"]) else 1
    return "/".join(parts[:length]), "/".join(parts[length:])


def _no_file(repo: str) -> Refused:
    return Refused(
        f"url leads to a page of the repository {repo}, and not to a file. Name the file: "
        f"repo={repo}, and in file the path of the .gguf file as that page lists it."
    )


def without_secrets(url: str) -> str:
    """The URL without its query and without user and password."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _without_user(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def secrets_of(url: str) -> set[str]:
    """What of the URL must be shown to nobody."""
    address, _mark, query = url.partition("#")[0].partition("?")
    # Found in what is no address as well, for the refusal quotes that.
    host = (address.partition("//")[2] or address).partition("/")[0]
    user = host.rpartition("@")[0]
    return {secret for secret in (query, user) if secret}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Model names as Ollama reads them: [host/][namespace/]model[:tag]. Pure. Private."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from .errors import InvalidName

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

# What may follow the first character of each part, and how long the part may be.
_PARTS = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
    "tag": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
}


@dataclasses.dataclass(frozen=True)
class Name:
    """A complete model name. Compare names by their key: the server ignores case."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The name as the server lists it: without defaults, but always with the tag."""
        if self.host.lower() != DEFAULT_HOST:
            return self.full
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def key(self) -> str:
        return self.full.lower()

    def on(self, host: str) -> Name:
        """The same model under another registry's name."""
        return dataclasses.replace(self, host=host)


def is_valid_part(kind: str, text: str) -> bool:
    return _PARTS[kind].fullmatch(text) is not None


def parse(text: str) -> Name:
    """The complete name that the server would understand, or InvalidName with the remedy."""
    if not text:
        raise InvalidName("The model name is empty.")
    if "://" in text:
        raise InvalidName(
            f"Invalid model name {text!r}: write it without {text.split('://')[0] + '://'!r} "
            "(a registry reached over plain http is named by registry_mirror)."
        )
    if "@" in text:
        raise InvalidName(
            f"Invalid model name {text!r}: Ollama knows no @digest in names; "
            "give the tag, and the expected digest in the option digest."
        )
    path, tag = text, DEFAULT_TAG
    if text.rfind(":") > text.rfind("/"):
        path, _colon, tag = text.rpartition(":")
    rest, _slash, model = path.rpartition("/")
    host, slash, namespace = rest.rpartition("/")
    if "/" not in path:
        namespace = DEFAULT_NAMESPACE
    if not slash:
        host = DEFAULT_HOST
    name = Name(host, namespace, model, tag)
    for kind, value in dataclasses.asdict(name).items():
        if not is_valid_part(kind, value):
            raise InvalidName(f"Invalid model name {text!r}: {_complaint(kind, value)}")
    return name


def _complaint(kind: str, value: str) -> str:
    if not value:
        return f"the {kind} is empty (expected [host/][namespace/]model[:tag])."
    extra = {"host": " '.' '-' ':'", "namespace": " '-'"}.get(kind, " '.' '-'")
    longest = 350 if kind == "host" else 80
    return (
        f"the {kind} {value!r} must start with a letter, a digit or '_', go on with those or"
        f"{extra}, and be at most {longest} characters long."
    )


def is_reserved(name: Name) -> bool:
    """Whether Ollama takes the tag for a switch between local and cloud models."""
    tag = name.tag.lower()
    return tag in ("cloud", "local") or tag.endswith("-cloud")


def parse_digest(text: str | None) -> str | None:
    """A manifest digest as the server lists it: 64 hexadecimal digits, without "sha256:"."""
    if text is None:
        return None
    digest = text.lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise Refused(f"Invalid digest {text!r}: it must be a SHA-256, 64 hexadecimal digits.")
    return digest

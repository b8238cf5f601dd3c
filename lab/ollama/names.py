# SPDX-License-Identifier: GPL-3.0-or-later
"""Model names: `[host/][namespace/]model[:tag]`, with Ollama's defaults and rules."""

from __future__ import annotations

import dataclasses
import string
import typing as t

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

_FIRST = frozenset(string.ascii_letters + string.digits + "_")
_PUNCTUATION = {"host": "_-.:", "namespace": "_-", "model": "_-.", "tag": "_-."}
_LIMITS = {"host": 350, "namespace": 80, "model": 80, "tag": 80}


@dataclasses.dataclass(frozen=True)
class Name:
    """A name split into its parts, defaults filled in."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def valid(self) -> bool:
        """True if every part keeps the rules for its characters and length."""
        return all(_valid_part(key, value) for key, value in dataclasses.asdict(self).items())

    @property
    def short(self) -> str:
        """The shortest form that means the same model, always with the tag."""
        prefix = ""
        if self.host.lower() != DEFAULT_HOST:
            prefix = f"{self.host}/{self.namespace}/"
        elif self.namespace.lower() != DEFAULT_NAMESPACE:
            prefix = f"{self.namespace}/"
        return f"{prefix}{self.model}:{self.tag}"

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Host, namespace, model and tag: also the path below `manifests/`."""
        return self.host, self.namespace, self.model, self.tag

    def folded_onto(self, existing: t.Iterable[Name]) -> Name:
        """Return the name with each part spelled as the first existing name spells it."""
        parts = dict(zip(_LIMITS, self.parts, strict=True))
        found: set[str] = set()
        for other in existing:
            for key, value in zip(_LIMITS, other.parts, strict=True):
                if key not in found and value.lower() == parts[key].lower():
                    parts[key] = value
                    found.add(key)
        return Name(**parts)


def parse(text: str) -> Name:
    """Split a name and fill in the defaults; parts that are empty though promised stay invalid."""
    host, namespace, tag = DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG
    rest = text
    if rest.rfind(":") > rest.rfind("/"):
        rest, _, tag = rest.rpartition(":")
    if "/" in rest:
        rest, _, model = rest.rpartition("/")
        if "/" in rest:
            rest, _, namespace = rest.rpartition("/")
            # The scheme is only there to be dropped.
            host = rest.split("://", 1)[-1]
        else:
            namespace = rest
    else:
        model = rest
    return Name(host, namespace, model, tag)


def _valid_part(kind: str, value: str) -> bool:
    if not 1 <= len(value) <= _LIMITS[kind] or value[0] not in _FIRST:
        return False
    return all(char in _FIRST or char in _PUNCTUATION[kind] for char in value[1:])

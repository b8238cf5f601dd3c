# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of a model's other versions: the one before, and the one to come. Pure. Private."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

from . import names

_SUFFIX = re.compile(r"(?P<tag>.+)-(?:prev|next)-[0-9a-f]{12}", re.IGNORECASE)


def previous(name: names.Name, digest: str) -> names.Name:
    """The name that keeps the version with this digest when the model gets another one."""
    return _version(name, "prev", digest)


def staged(name: names.Name, digest: str) -> names.Name:
    """The name under which the version with this digest waits until it is proven."""
    return _version(name, "next", digest)


def origin_of(name: names.Name) -> names.Name | None:
    """The model that this is a kept or staged version of, or None if it is a model itself."""
    match = _SUFFIX.fullmatch(name.tag)
    return dataclasses.replace(name, tag=match["tag"]) if match else None


def _version(name: names.Name, word: str, digest: str) -> names.Name:
    suffix = f"-{word}-{digest.removeprefix('sha256:')[:12]}"
    # Not shortened: a name that no longer says which model it belongs to could not be protected.
    if not names.is_valid_part("tag", name.tag + suffix):
        raise Refused(
            f"The tag of {name.short} is too long to keep versions of the model: with {suffix!r} "
            "it exceeds the 80 characters that Ollama allows. Give the model a shorter tag."
        )
    return dataclasses.replace(name, tag=name.tag + suffix)

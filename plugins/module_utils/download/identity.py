# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file it is that is being fetched. Pure. Private."""

from __future__ import annotations

import dataclasses
import hashlib


@dataclasses.dataclass(frozen=True)
class Identity:
    """What must be equal for two bodies to be parts of one file.

    C(version) is what the source calls this content: a hash, an ETag, a date of change.
    """

    source: str
    size: int
    sha256: str | None = None
    version: str | None = None
    commit: str | None = None

    @property
    def key(self) -> str:
        """Twelve digits that make the partial's name its own."""
        said = (
            self.sha256
            or hashlib.sha256(f"{self.source} {self.version} {self.size}".encode()).hexdigest()
        )
        return said[:12]

    def continues(self, other: Identity) -> bool:
        """Whether what was fetched of the other is good for this one."""
        if (self.size, self.sha256) != (other.size, other.sha256):
            return False
        # The same hash, said by the source itself or with no other version beside it (as for what
        # a mirror began), is the same content wherever it lies.
        if self.sha256 and self.sha256 in (self.version, other.version):
            return True
        if self.version != other.version:
            return False
        return self.source == other.source and bool(self.sha256 or self.version)

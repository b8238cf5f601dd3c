# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs that are good for a while: the origin signs a path and a time, the CDN checks both."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
import time
import typing as t
import urllib.parse
from pathlib import Path

from lab.origin.shared import SharedFile

LIFETIME = 3600
_DEFAULTS = {"signed_url_lifetime": LIFETIME}


class Signer:
    """Signs and checks with a key that lies in the data directory."""

    def __init__(self, root: Path) -> None:
        self._key_file = root / "signing.key"
        self.settings = SharedFile(root / "settings.json", _DEFAULTS)

    @property
    def lifetime(self) -> int:
        return int(self.settings.read()["signed_url_lifetime"])

    @lifetime.setter
    def lifetime(self, seconds: int) -> None:
        with self.settings.changing() as settings:
            settings["signed_url_lifetime"] = seconds

    def query(self, path: str, *, expired: bool = False) -> str:
        """Return the query string that makes `path` good, or that once made it good."""
        expires = int(time.time()) + (0 if expired else self.lifetime)
        return urllib.parse.urlencode({"Expires": expires, "Signature": self._sign(path, expires)})

    def refusal(self, path: str, query: t.Mapping[str, str]) -> str | None:
        """Return what is wrong with a request for `path`, or None."""
        expires, signature = query.get("Expires", ""), query.get("Signature", "")
        if not (expires.isascii() and expires.isdecimal()):
            return "Missing Expires"
        if not hmac.compare_digest(self._sign(path, int(expires)).encode(), signature.encode()):
            return "Wrong signature"
        return None if time.time() < int(expires) else "Request has expired"

    def _sign(self, path: str, expires: int) -> str:
        return hmac.new(self._key(), f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        if not self._key_file.exists():
            # Two processes may start at once: the first link wins, and both read that one.
            with tempfile.NamedTemporaryFile(dir=self._key_file.parent) as fresh:
                fresh.write(secrets.token_bytes(32))
                fresh.flush()
                with contextlib.suppress(FileExistsError):
                    os.link(fresh.name, self._key_file)
        return self._key_file.read_bytes()

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""httpx, imported once and guarded, with the settings that all requests share. Private."""

from __future__ import annotations

import ipaddress
import re
import sys
import traceback
import types
import typing as t
import urllib.parse

from .errors import Refused

# The program httpx of that package draws tables. To import what it draws them with takes as long as
# the rest of httpx, and Debian installs it along; without that program httpx is still whole.
sys.modules.setdefault("httpx._main", types.ModuleType("httpx._main"))

try:
    # "as httpx": exported on purpose, this is where everybody gets it from.
    import httpx as httpx
except ImportError:
    httpx = None  # type: ignore[assignment]
    HTTPX_IMPORT_ERROR: str | None = traceback.format_exc()
else:
    HTTPX_IMPORT_ERROR = None

CONNECT_TIMEOUT = 10.0


def host_of(url: str, what: str = "The URL") -> str:
    """The host of an http(s) URL; Refused if it is none (old versions of httpx do not say).

    C(what) is the option that has it, for whoever reads the refusal.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise Refused(f"{what} {_shown(url)!r} is no address: {error}.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise Refused(f"{what} {_shown(url)!r} must be http(s)://host[:port].")
    return host


def _shown(url: str) -> str:
    """The URL without what may be a secret, whatever is wrong with it."""
    return re.sub("//[^/]*@", "//", url.partition("?")[0])


def is_loopback(host: str) -> bool:
    """Whether this host name or address can only mean the machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def idle_timeout(seconds: float) -> httpx.Timeout:
    """A limit on silence, not on the whole exchange: every byte that arrives starts it anew."""
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT))


def open_client(
    base_url: str,
    *,
    timeout: float,
    headers: t.Mapping[str, str] | None = None,
    follow_redirects: bool = False,
) -> httpx.Client:
    """An httpx client: proxies and CA from the environment, except for the machine itself."""
    return httpx.Client(
        base_url=base_url,
        headers=dict(headers or {}),
        timeout=idle_timeout(timeout),
        follow_redirects=follow_redirects,
        # Reading the CA bundle takes longer than a whole request to the machine itself.
        verify=base_url.startswith("https:") or follow_redirects,
        trust_env=not is_loopback(host_of(base_url)),
    )

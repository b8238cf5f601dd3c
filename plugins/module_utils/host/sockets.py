# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who listens on a TCP port, read from /proc. Private."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
_TABLES = ("proc/net/tcp", "proc/net/tcp6")
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_CONTAINER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket. C(pid) and C(process) are None when this user may not see them."""

    port: int
    address: str
    inode: str
    pid: int | None = None
    process: str | None = None
    # Ids of the containers the process lives in, outermost first.
    containers: tuple[str, ...] = ()


def listeners(ports: Iterable[int], root: str = "/") -> dict[int, Listener | None]:
    """For each port the widest listener on it, or None when nobody listens."""
    found: dict[int, Listener | None] = dict.fromkeys(ports)
    for listener in _sockets(root):
        if listener.port in found:
            known = found[listener.port]
            if known is None or (_is_any(listener.address) and not _is_any(known.address)):
                found[listener.port] = listener
    owners = _owners({listener.inode for listener in found.values() if listener}, root)
    return {
        port: listener and _with_owner(listener, owners, root) for port, listener in found.items()
    }


def _sockets(root: str) -> Iterator[Listener]:
    for table in _TABLES:
        path = Path(root, table)
        if not path.is_file():
            continue
        for line in path.read_text("ascii", "replace").splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == _LISTEN:
                address, _, port = fields[1].rpartition(":")
                yield Listener(int(port, 16), _address(address), fields[9])


def _address(text: str) -> str:
    """The address written as the kernel does: 32-bit words in the machine's byte order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_any(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified


def _owners(inodes: set[str], root: str) -> dict[str, int]:
    """Which process holds each socket; walks /proc only when there is something to look for."""
    owners: dict[str, int] = {}
    if not inodes:
        return owners
    for process in sorted(Path(root, "proc").glob("[0-9]*"), key=lambda p: int(p.name)):
        try:
            descriptors = list((process / "fd").iterdir())
        except OSError:
            # Gone meanwhile, or another user's.
            continue
        for descriptor in descriptors:
            try:
                match = _SOCKET.fullmatch(str(descriptor.readlink()))
            except OSError:
                continue
            if match and match[1] in inodes:
                owners.setdefault(match[1], int(process.name))
        if len(owners) == len(inodes):
            break
    return owners


def _with_owner(listener: Listener, owners: dict[str, int], root: str) -> Listener:
    pid = owners.get(listener.inode)
    if pid is None:
        return listener
    process = Path(root, "proc", str(pid))
    return Listener(
        port=listener.port,
        address=listener.address,
        inode=listener.inode,
        pid=pid,
        process=_text(process / "comm").strip() or None,
        containers=tuple(_CONTAINER.findall(_text(process / "cgroup"))),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import sockets

HEADER = "  sl  local_address rem_address   st ...\n"
LOOPBACK, ANY = "0100007F", "00000000"
ANY6, MAPPED = "0" * 32, "0000000000000000FFFF00000100007F"


def line(address: str, port: int, inode: int, state: str = "0A") -> str:
    return f"   0: {address}:{port:04X} {ANY}:0000 {state} 0:0 00:0 0 0 0 {inode} 1 0 100\n"


@pytest.fixture
def machine(tmp_path):
    """A /proc with tables of sockets and processes that hold them."""

    class Machine:
        root = str(tmp_path)

        def table(self, name: str, *lines: str) -> None:
            path = tmp_path / "proc/net" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(HEADER + "".join(lines))

        def process(self, pid: int, name: str, inode: int, cgroup: str = "0::/\n") -> None:
            folder = tmp_path / "proc" / str(pid)
            (folder / "fd").mkdir(parents=True)
            (folder / "fd/0").symlink_to("/dev/null")
            (folder / "fd/7").symlink_to(f"socket:[{inode}]")
            (folder / "comm").write_text(f"{name}\n")
            (folder / "cgroup").write_text(cgroup)

    return Machine()


def test_holder_is_named_with_its_process(machine):
    machine.table("tcp", line(LOOPBACK, 11434, 100))
    machine.process(9, "ollama", 100)
    found = sockets.listeners([11434, 22], machine.root)
    assert found[22] is None
    assert (found[11434].address, found[11434].pid, found[11434].process) == (
        "127.0.0.1",
        9,
        "ollama",
    )


def test_connections_are_no_listeners(machine):
    machine.table("tcp", line(LOOPBACK, 11434, 100, state="01"), line(LOOPBACK, 11434, 0, "06"))
    assert sockets.listeners([11434], machine.root) == {11434: None}


@pytest.mark.parametrize(
    ("lines", "lines6", "address"),
    [
        ((line(LOOPBACK, 80, 1), line(ANY, 80, 2)), (), "0.0.0.0"),
        ((line(ANY, 80, 1), line(LOOPBACK, 80, 2)), (), "0.0.0.0"),
        ((line(ANY, 80, 1),), (line(ANY6, 80, 2),), "0.0.0.0"),
        ((), (line(ANY6, 80, 2),), "::"),
        ((), (line(MAPPED, 80, 2),), "127.0.0.1"),
    ],
)
def test_widest_address_is_told(machine, lines, lines6, address):
    machine.table("tcp", *lines)
    machine.table("tcp6", *lines6)
    assert sockets.listeners([80], machine.root)[80].address == address


def test_holder_of_another_user_stays_unknown(machine):
    machine.table("tcp", line(LOOPBACK, 80, 100))
    found = sockets.listeners([80], machine.root)[80]
    assert (found.address, found.pid, found.process) == ("127.0.0.1", None, None)


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{'ab' * 32}.scope\n",
        f"5:pids:/docker/{'ab' * 32}\n0::/\n",
        f"0::/docker/{'cd' * 32}/docker/{'ab' * 32}\n",
    ],
)
def test_containers_of_the_holder_are_known_by_its_cgroup(machine, cgroup):
    machine.table("tcp", line(ANY, 80, 100))
    machine.process(9, "ollama", 100, cgroup)
    assert "ab" * 32 in sockets.listeners([80], machine.root)[80].containers


def test_this_process_is_found_on_the_real_machine():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = sockets.listeners([port])[port]
    assert (found.address, found.pid) == ("127.0.0.1", os.getpid())

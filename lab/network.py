# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own network."""

from __future__ import annotations

import ipaddress
import json

from lab import containers, docker, say
from lab.errors import LabError
from lab.names import LABEL, NETWORK, SUBNET


def ensure() -> None:
    found = docker.inspect("network", NETWORK)
    if found and SUBNET in subnets(found):
        return
    if found:
        remove()
    _refuse_overlap()
    say.step(f"network {NETWORK} ({SUBNET})")
    docker.docker("network", "create", "--subnet", SUBNET, "--label", f"{LABEL}=1", NETWORK)


def remove() -> None:
    containers.remove(docker.containers())
    docker.docker("network", "rm", NETWORK, check=False)


def subnets(network: dict[str, object]) -> list[str]:
    """The subnets in the engine's description of a network."""
    ipam = json.loads(json.dumps(network.get("IPAM") or {}))
    return [entry["Subnet"] for entry in ipam.get("Config") or [] if entry.get("Subnet")]


def overlapping(networks: list[dict[str, object]]) -> list[str]:
    """The networks whose addresses the lab needs."""
    ours = ipaddress.ip_network(SUBNET)
    return [
        str(network["Name"])
        for network in networks
        for subnet in map(ipaddress.ip_network, subnets(network))
        if subnet.version == ours.version and subnet.overlaps(ours)
    ]


def _refuse_overlap() -> None:
    ids = docker.docker("network", "ls", "--quiet").split()
    taken = overlapping(json.loads(docker.docker("network", "inspect", *ids)))
    if taken:
        raise LabError(
            f"the Docker network {taken[0]} has addresses in {SUBNET}, which the lab needs. Type:\n"
            f"  docker network rm {taken[0]}"
        )

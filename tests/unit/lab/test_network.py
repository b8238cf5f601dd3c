# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from lab.network import overlapping


def network(name: str, *subnets: str) -> dict[str, object]:
    return {"Name": name, "IPAM": {"Config": [{"Subnet": subnet} for subnet in subnets]}}


@pytest.mark.parametrize(
    ("subnet", "taken"),
    [
        ("198.18.77.0/24", True),
        ("198.18.0.0/15", True),
        ("198.18.77.128/25", True),
        ("198.18.78.0/24", False),
        ("fd00::/64", False),
    ],
)
def test_only_a_network_in_the_labs_addresses_is_in_the_way(subnet: str, taken: bool) -> None:
    assert overlapping([network("theirs", subnet)]) == (["theirs"] if taken else [])


def test_networks_without_addresses_are_no_problem() -> None:
    assert overlapping([{"Name": "none", "IPAM": {"Config": None}}, network("host")]) == []

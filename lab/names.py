# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses. Inventories and tests write them out, so they never change by themselves."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "edgellm-lab"

NETWORK = PREFIX
SUBNET = "198.18.77.0/24"  # RFC 2544 benchmarking range: nobody's LAN

ORIGIN, CDN, REGISTRY = f"{PREFIX}-origin", f"{PREFIX}-cdn", f"{PREFIX}-registry"
ADDRESSES = {ORIGIN: "198.18.77.2", CDN: "198.18.77.3", REGISTRY: "198.18.77.4"}
REGISTRY_PORT = 5000

BOXES = {
    "box1": "198.18.77.11",
    "box2": "198.18.77.12",
    "box3": "198.18.77.13",
    "bookworm": "198.18.77.21",
}
BOX_IMAGES = ("box", "engine", "bookworm")

DATA_VOLUME = f"{PREFIX}-data"
REGISTRY_VOLUME = f"{PREFIX}-registry"

LABEL = "edgellm.lab"
LABEL_CONFIG = "edgellm.lab.config"
LABEL_IMAGE = "edgellm.lab.image"


def box_container(box: str) -> str:
    return f"{PREFIX}-{box}"


def box_image(box: str) -> str:
    """The kind of image a box gets when nobody asks for another one."""
    return "bookworm" if box == "bookworm" else "box"

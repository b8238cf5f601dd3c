# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that our roles pull, in the lab's registry under the same names and tags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab import build, docker, say, services, sh, state
from lab.errors import LabError
from lab.host import Host
from lab.names import ADDRESSES, LABEL, REGISTRY, REGISTRY_PORT, ROOT

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_REFERENCE = re.compile(
    r"^(?:docker\.io/)?([a-z0-9_-]+(?:/[a-z0-9._-]+)?):([\w.-]+)(?:@sha256:[0-9a-f]{64})?$"
)


@dataclass(frozen=True)
class Offer:
    """An image that a role pulls, and the image of ours that stands in for it."""

    variable: str
    stand_in: str

    @property
    def defaults(self) -> Path:
        return ROOT / "roles" / self.variable.removesuffix("_image") / "defaults/main.yml"


OLLAMA = Offer("ollama_server_image", "ollama")
CLOUDFLARED = Offer("cloudflared_image", "cloudflared")


@dataclass(frozen=True)
class Reference:
    repository: str
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


def pinned(offer: Offer, defaults: str) -> Reference:
    """The image the role pulls, read from its defaults."""
    where = f"{offer.defaults.relative_to(ROOT)}: {offer.variable}"
    line = re.search(rf"^{offer.variable}:\s*[\"']?([^\s\"'#]+)", defaults, re.MULTILINE)
    if not line:
        raise LabError(f"{where} is missing: the lab cannot tell what to offer")
    reference = _REFERENCE.match(line[1])
    if not reference:
        raise LabError(f"{where}: {line[1]} is no image of Docker Hub with a tag")
    repository = reference[1] if "/" in reference[1] else f"library/{reference[1]}"
    return Reference(repository, reference[2])


def ensure(host: Host, offer: Offer) -> dict[str, str]:
    """The pinned image in the registry: the real one if this engine has it, else the stand-in."""
    if not offer.defaults.exists():
        raise LabError(f"{offer.defaults.relative_to(ROOT)} is missing; it names what to offer")
    wanted = pinned(offer, offer.defaults.read_text())
    real = _real(wanted)
    stand_in = build.tag(offer.stand_in)
    # A second tag says which content the first one holds.
    content = f"lab-{real[-12:] if real else stand_in.rpartition(':')[2]}"
    if _digest(wanted.repository, wanted.tag) != _digest(wanted.repository, content):
        if not real:
            build.ensure(host, offer.stand_in)
        _push(real or stand_in, wanted, content)
    return {"image": str(wanted), "is": "the real image" if real else "the lab's stand-in"}


def _real(wanted: Reference) -> str | None:
    """The id of an image of exactly that name in the local engine, unless it is our stand-in."""
    found = docker.inspect("image", str(wanted))
    if not found or LABEL in (found["Config"].get("Labels") or {}):
        return None
    return str(found["Id"])


def _digest(repository: str, tag: str) -> str:
    """The digest of a tag in the registry; a different one for every tag that is not there."""
    url = f"http://{ADDRESSES[REGISTRY]}:{REGISTRY_PORT}/v2/{repository}/manifests/{tag}"
    status, headers, _body = services.get(url, method="HEAD", accept=_MANIFEST)
    return headers["docker-content-digest"] if status == 200 else f"no {tag}"


def _push(image: str, wanted: Reference, content: str) -> None:
    door = docker.docker("port", REGISTRY, f"{REGISTRY_PORT}/tcp").splitlines()[0]
    say.step(f"filling the registry: {wanted}")
    # The content tag goes last: it vouches for the other one.
    for tag in (wanted.tag, content):
        name = f"{door}/{wanted.repository}:{tag}"
        docker.docker("tag", image, name)
        try:
            sh.logged(["docker", "push", name], state.local_dir("log") / "push.log")
        finally:
            docker.docker("rmi", "--no-prune", name)

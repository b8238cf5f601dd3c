# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Docker packages under Docker's own names, as a signed APT repository.

Runs inside the services container: `python3 -m lab.repack --root /srv/lab`. The names, relations
and the layout are those of download.docker.com; the programs are Debian's.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lab import apt

SUITE = "trixie"
VERSION_SUFFIX = "-1~debian.13~trixie"
KEY_NAME = "edgellm lab (not Docker) <lab@edgellm.invalid>"


@dataclass(frozen=True)
class Recipe:
    """How one of Docker's packages is made: what to merge, and the relations to state."""

    name: str
    sources: tuple[str, ...]
    epoch: str = ""
    relations: dict[str, str] = field(default_factory=dict)
    extra_depends: tuple[str, ...] = ()
    #: Files of the Debian package that Docker's one does not have.
    without: tuple[str, ...] = ()


RECIPES = (
    Recipe(
        "docker-ce",
        ("docker.io",),
        epoch="5:",
        extra_depends=("containerd.io", "docker-ce-cli"),
        relations={
            "Conflicts": "docker (<< 1.5~), docker-engine, docker.io",
            "Replaces": "docker-engine",
            "Recommends": "apparmor, ca-certificates, procps, xz-utils",
        },
    ),
    Recipe(
        "docker-ce-cli",
        ("docker-cli",),
        epoch="5:",
        relations={
            "Conflicts": "docker (<< 1.5~), docker-engine, docker.io",
            "Replaces": "docker-ce (<< 5:0)",
            "Breaks": "docker-ce (<< 5:0)",
            "Recommends": "docker-buildx-plugin, docker-compose-plugin",
        },
    ),
    Recipe(
        "containerd.io",
        ("containerd", "runc"),
        relations={
            "Provides": "containerd, runc",
            "Conflicts": "containerd, runc",
            "Replaces": "containerd, runc",
        },
    ),
    Recipe(
        "docker-buildx-plugin",
        ("docker-buildx",),
        relations={"Enhances": "docker-ce-cli", "Replaces": "docker-ce-cli"},
    ),
    Recipe(
        "docker-compose-plugin",
        ("docker-compose",),
        relations={"Enhances": "docker-ce-cli", "Recommends": "docker-buildx-plugin"},
        without=("usr/bin/docker-compose",),
    ),
)
#: What the Debian packages ask for and Docker's bring themselves.
_BROUGHT_ALONG = {"containerd", "runc", "docker-cli"}
_RELATIONS = ("Recommends", "Suggests", "Enhances", "Breaks", "Conflicts", "Replaces", "Provides")


def dockers_version(debian: str, epoch: str) -> str:
    """Docker's way of writing the version that a Debian version stands for."""
    upstream = re.split(r"[-+~]", debian.partition(":")[2] or debian)[0]
    return f"{epoch}{upstream}{VERSION_SUFFIX}"


def relabelled(recipe: Recipe, controls: list[dict[str, str]]) -> dict[str, str]:
    """The control fields of Docker's package, from those of the Debian packages it is made of."""
    fields = {name: value for name, value in controls[0].items() if name not in _RELATIONS}
    fields["Package"] = recipe.name
    fields["Version"] = dockers_version(controls[0]["Version"], recipe.epoch)
    fields["Maintainer"] = KEY_NAME
    fields["Depends"] = ", ".join(_depends(recipe, controls))
    summary = controls[0].get("Description", "").partition("\n")[0]
    fields["Description"] = (
        f"{summary}\n Debian's build under Docker's package name, for tests only."
    )
    fields["Installed-Size"] = str(sum(int(c.get("Installed-Size", 0)) for c in controls))
    fields.pop("Source", None)
    return {**fields, **recipe.relations}


def _depends(recipe: Recipe, controls: Iterable[dict[str, str]]) -> list[str]:
    wanted: dict[str, None] = {}
    for control in controls:
        for relation in filter(None, re.split(r"\s*,\s*", control.get("Depends", "").strip())):
            if re.split(r"[\s:(]", relation)[0] not in _BROUGHT_ALONG:
                wanted[relation] = None
    return [*wanted, *recipe.extra_depends]


def build_package(recipe: Recipe, downloads: Path, work: Path, pool: Path) -> None:
    tree = work / recipe.name
    controls: list[dict[str, str]] = []
    sums = ""
    for source in recipe.sources:
        deb = next(downloads.glob(f"{source}_*.deb"))
        about = work / f"{source}.control"
        apt.run("dpkg-deb", "--extract", deb, tree)
        apt.run("dpkg-deb", "--control", deb, about)
        controls.append(apt.parse_control((about / "control").read_text()))
        sums += (about / "md5sums").read_text()
        if not (
            tree / "DEBIAN"
        ).exists():  # the first one's scripts and conffiles are the package's
            about.rename(tree / "DEBIAN")
    for name in recipe.without:
        (tree / name).unlink()
        sums = "".join(f"{line}\n" for line in sums.splitlines() if not line.endswith(f"  {name}"))
    (tree / "DEBIAN/md5sums").write_text(sums)
    (tree / "DEBIAN/control").write_text(apt.format_control(relabelled(recipe, controls)))
    apt.build_package(tree, pool)


def build_repository(top: Path, keyring: Path) -> None:
    """Fill an empty folder with the repository as `…/linux/debian/` of Docker's site has it."""
    machine = apt.architecture()
    pool = top / f"dists/{SUITE}/pool/stable/{machine}"
    index = top / f"dists/{SUITE}/stable/binary-{machine}"
    pool.mkdir(parents=True)
    index.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=top) as name:
        work = Path(name)
        work.chmod(0o755)  # apt downloads as its own user
        apt.run("apt-get", "update", "-q")
        sources = [source for recipe in RECIPES for source in recipe.sources]
        apt.run("apt-get", "download", "-q", *sources, cwd=work)
        for recipe in RECIPES:
            build_package(recipe, work, work, pool)
    apt.write_index(pool, index, top)
    facts = {
        "Origin": "Docker",
        "Label": "Docker CE",
        "Suite": SUITE,
        "Codename": SUITE,
        "Components": "stable",
        "Architectures": machine,
    }
    apt.sign(top / f"dists/{SUITE}", facts, keyring, KEY_NAME)
    apt.export_key(keyring, KEY_NAME, top / "gpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the lab's data folder")
    root: Path = parser.parse_args().root
    apt.publish(root / "apt/docker/linux/debian", lambda top: build_repository(top, root / "keys"))


if __name__ == "__main__":
    main()

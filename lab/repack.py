# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Docker packages under Docker's own names, as a signed APT repository.

Runs inside the services container: `python3 -m lab.repack --root /srv/lab`. The names, relations
and the layout are those of download.docker.com; the programs are Debian's.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

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


def parse_control(text: str) -> dict[str, str]:
    """The fields of one control stanza, in order; continuation lines stay with their field."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1].isspace():
            fields[name] += f"\n{line}"
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    return fields


def format_control(fields: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if value)


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
        _run("dpkg-deb", "--extract", deb, tree)
        _run("dpkg-deb", "--control", deb, about)
        controls.append(parse_control((about / "control").read_text()))
        sums += (about / "md5sums").read_text()
        if not (
            tree / "DEBIAN"
        ).exists():  # the first one's scripts and conffiles are the package's
            about.rename(tree / "DEBIAN")
    for name in recipe.without:
        (tree / name).unlink()
        sums = "".join(f"{line}\n" for line in sums.splitlines() if not line.endswith(f"  {name}"))
    (tree / "DEBIAN/md5sums").write_text(sums)
    fields = relabelled(recipe, controls)
    (tree / "DEBIAN/control").write_text(format_control(fields))
    version = fields["Version"].partition(":")[2] or fields["Version"]
    target = pool / f"{recipe.name}_{version}_{fields['Architecture']}.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", tree, target)
    shutil.rmtree(tree)


def build_repository(top: Path, keyring: Path) -> None:
    """Fill an empty folder with the repository as `…/linux/debian/` of Docker's site has it."""
    machine = _run("dpkg", "--print-architecture").strip()
    pool = top / f"dists/{SUITE}/pool/stable/{machine}"
    index = top / f"dists/{SUITE}/stable/binary-{machine}"
    pool.mkdir(parents=True)
    index.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=top) as name:
        work = Path(name)
        work.chmod(0o755)  # apt downloads as its own user
        _run("apt-get", "update", "-q")
        sources = [source for recipe in RECIPES for source in recipe.sources]
        _run("apt-get", "download", "-q", *sources, cwd=work)
        for recipe in RECIPES:
            build_package(recipe, work, work, pool)
    packages = _run("apt-ftparchive", "packages", pool.relative_to(top), cwd=top)
    (index / "Packages").write_text(packages)
    (index / "Packages.gz").write_bytes(gzip.compress(packages.encode(), mtime=0))
    _sign(top, machine, keyring)


def _sign(top: Path, machine: str, keyring: Path) -> None:
    dist = top / f"dists/{SUITE}"
    facts = {
        "Origin": "Docker",
        "Label": "Docker CE",
        "Suite": SUITE,
        "Codename": SUITE,
        "Components": "stable",
        "Architectures": machine,
    }
    options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in facts.items()]
    release = _run("apt-ftparchive", *options, "release", dist)
    (dist / "Release").write_text(release)
    keyring.mkdir(mode=0o700, parents=True, exist_ok=True)
    gpg = ("gpg", "--homedir", keyring, "--batch", "--yes", "--passphrase", "")
    if KEY_NAME not in _run(*gpg, "--list-secret-keys"):
        _run(*gpg, "--quick-generate-key", KEY_NAME, "rsa3072", "sign", "never")
    _run(*gpg, "--clearsign", "--output", dist / "InRelease", dist / "Release")
    _run(*gpg, "--armor", "--detach-sign", "--output", dist / "Release.gpg", dist / "Release")
    _run(*gpg, "--armor", "--output", top / "gpg", "--export", KEY_NAME)


def _run(*argv: str | Path, cwd: Path | None = None) -> str:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the lab's data folder")
    root: Path = parser.parse_args().root
    published = root / "apt/docker/linux/debian"
    published.parent.mkdir(parents=True, exist_ok=True)
    for leftover in published.parent.glob("new.*"):
        shutil.rmtree(leftover)
    fresh = Path(tempfile.mkdtemp(prefix="new.", dir=published.parent))
    fresh.chmod(0o755)
    build_repository(fresh, root / "keys")
    if published.exists():
        published.rename(fresh.with_name(f"{fresh.name}.old"))
    fresh.rename(published)
    for leftover in published.parent.glob("new.*"):
        shutil.rmtree(leftover)


if __name__ == "__main__":
    main()

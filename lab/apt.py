# SPDX-License-Identifier: GPL-3.0-or-later
"""Making Debian packages and signed APT repositories, inside the services container."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path


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


def architecture() -> str:
    return run("dpkg", "--print-architecture").strip()


def build_package(tree: Path, pool: Path) -> None:
    """Make the package that a tree with a DEBIAN folder describes; the tree goes."""
    fields = parse_control((tree / "DEBIAN/control").read_text())
    version = fields["Version"].partition(":")[2] or fields["Version"]
    target = pool / f"{fields['Package']}_{version}_{fields['Architecture']}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", tree, target)
    shutil.rmtree(tree)


def write_index(pool: Path, folder: Path, top: Path) -> None:
    """List a pool's packages in a folder, with file names from the top of the repository."""
    packages = run("apt-ftparchive", "packages", pool.relative_to(top), cwd=top)
    (folder / "Packages").write_text(packages)
    (folder / "Packages.gz").write_bytes(gzip.compress(packages.encode(), mtime=0))


def sign(folder: Path, facts: Mapping[str, str], keyring: Path, key_name: str) -> None:
    """Write the release files of a folder with the key of that name, which is made if need be."""
    options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in facts.items()]
    release = run("apt-ftparchive", *options, "release", folder)
    (folder / "Release").write_text(release)
    keyring.mkdir(mode=0o700, parents=True, exist_ok=True)
    if key_name not in _gpg(keyring, "--list-secret-keys"):
        _gpg(keyring, "--quick-generate-key", key_name, "rsa3072", "sign", "never")
    own = ("--local-user", f"={key_name}")
    _gpg(keyring, *own, "--clearsign", "--output", folder / "InRelease", folder / "Release")
    detached = ("--armor", "--detach-sign", "--output", folder / "Release.gpg")
    _gpg(keyring, *own, *detached, folder / "Release")


def export_key(keyring: Path, key_name: str, target: Path) -> None:
    _gpg(keyring, "--armor", "--output", target, "--export", f"={key_name}")


def _gpg(keyring: Path, *words: str | Path) -> str:
    return run("gpg", "--homedir", keyring, "--batch", "--yes", "--passphrase", "", *words)


def publish(published: Path, build: Callable[[Path], None]) -> None:
    """Put what `build` makes of an empty folder in the place of what is published."""
    published.parent.mkdir(parents=True, exist_ok=True)
    for leftover in published.parent.glob("new.*"):
        shutil.rmtree(leftover)
    fresh = Path(tempfile.mkdtemp(prefix="new.", dir=published.parent))
    fresh.chmod(0o755)
    build(fresh)
    if published.exists():
        published.rename(fresh.with_name(f"{fresh.name}.old"))
    fresh.rename(published)
    for leftover in published.parent.glob("new.*"):
        shutil.rmtree(leftover)


def run(*argv: str | Path, cwd: Path | None = None) -> str:
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

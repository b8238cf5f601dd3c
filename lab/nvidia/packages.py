# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-ins as packages with the real names, relations and layout, in a signed repository.

Runs inside the services container: `python3 -m lab.nvidia.packages --root /srv/lab`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from lab import apt

VERSIONS = ("1.19.1-1", "1.20.0-1")
KEY_NAME = "edgellm lab (not NVIDIA) <lab@edgellm.invalid>"
CODE = Path("usr/lib/edgellm-lab")
SCRIPTS = ("postinst", "postrm", "prerm")
_HERE = Path(__file__).resolve().parent
_TOOLKIT = "nvidia-container-toolkit"
#: Where the files of package/ go.
_PLACES = {
    "nvidia-cdi-refresh.service": "usr/lib/systemd/system",
    "nvidia-cdi-refresh.path": "usr/lib/systemd/system",
    "nvidia-cdi-refresh.env": "etc/nvidia-container-toolkit",
}
_PROGRAM = """\
#!/bin/sh
PYTHONPATH=/{code} exec /usr/bin/python3 -PB -m lab.nvidia.toolkit.{module} "$@"
"""
_OLDER = "nvidia-container-runtime (<= 3.5.0-1), nvidia-container-runtime-hook"


@dataclass(frozen=True)
class Package:
    """One of the toolkit's packages; in relations, VERSION stands for its own version."""

    name: str
    summary: str
    relations: dict[str, str] = field(default_factory=dict)
    #: Its programs, and the modules of toolkit/ that they are.
    programs: dict[str, str] = field(default_factory=dict)


PACKAGES = (
    Package(
        _TOOLKIT,
        "NVIDIA Container toolkit",
        relations={
            "Depends": f"{_TOOLKIT}-base (= VERSION), libnvidia-container-tools (= VERSION),"
            " libnvidia-container-tools (<< 2.0.0)",
            "Breaks": _OLDER,
            "Replaces": _OLDER,
        },
        programs={"nvidia-container-runtime-hook": "hook"},
    ),
    Package(
        f"{_TOOLKIT}-base",
        "NVIDIA Container Toolkit Base",
        relations={
            "Depends": "python3 (>= 3.11)",
            "Breaks": f"{_OLDER}, {_TOOLKIT} (<= 1.10.0-1)",
            "Replaces": _OLDER,
        },
        programs={"nvidia-ctk": "ctk", "nvidia-container-runtime": "runtime"},
    ),
    Package(
        "libnvidia-container-tools",
        "NVIDIA container runtime library (command-line tools)",
        relations={"Depends": "libnvidia-container1 (>= VERSION)"},
    ),
    Package("libnvidia-container1", "NVIDIA container runtime library"),
)


def control(package: Package, version: str, machine: str) -> dict[str, str]:
    """The control fields of one version of a package."""
    return {
        "Package": package.name,
        "Version": version,
        "Architecture": machine,
        "Maintainer": KEY_NAME,
        "Section": "utils",
        "Priority": "optional",
        **{name: text.replace("VERSION", version) for name, text in package.relations.items()},
        "Description": f"{package.summary}\n The lab's stand-in, for tests only.",
    }


def lay_out(package: Package, version: str, machine: str, tree: Path) -> None:
    """Fill an empty folder with what the package holds."""
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(apt.format_control(control(package, version, machine)))
    about = tree / "usr/share/doc" / package.name / "README"
    about.parent.mkdir(parents=True)
    about.write_text("This is not NVIDIA's package but the lab's stand-in, for tests only.\n")
    for name, module in package.programs.items():
        program = tree / "usr/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(_PROGRAM.format(code=CODE, module=module))
        program.chmod(0o755)
    if package.name == f"{_TOOLKIT}-base":
        _lay_out_base(version, tree)


def _lay_out_base(version: str, tree: Path) -> None:
    """What all the programs share, and the unit that keeps the CDI specification."""
    inside = tree / CODE / "lab"
    (inside / "nvidia").mkdir(parents=True)
    shutil.copy(_HERE.parent / "__init__.py", inside)
    shutil.copy(_HERE / "__init__.py", inside / "nvidia")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_HERE / "toolkit", inside / "nvidia/toolkit", ignore=ignored)
    (tree / CODE / f"{_TOOLKIT}.version").write_text(version.partition("-")[0] + "\n")
    for name, folder in _PLACES.items():
        (tree / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(_HERE / "package" / name, tree / folder)
    conffile = f"/{_PLACES['nvidia-cdi-refresh.env']}/nvidia-cdi-refresh.env\n"
    (tree / "DEBIAN/conffiles").write_text(conffile)
    for name in SCRIPTS:
        shutil.copy(_HERE / "package" / name, tree / "DEBIAN")
        (tree / "DEBIAN" / name).chmod(0o755)


def build_repository(top: Path, keyring: Path) -> None:
    """Fill an empty folder with the repository as nvidia.github.io/libnvidia-container has it."""
    machine = apt.architecture()
    flat = top / "stable/deb" / machine
    flat.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as work:
        for version in VERSIONS:
            for package in PACKAGES:
                tree = Path(work) / package.name
                lay_out(package, version, machine, tree)
                apt.build_package(tree, flat)
    apt.write_index(flat, flat, flat)
    facts = {"Origin": "edgellm lab", "Label": KEY_NAME, "Architectures": machine}
    apt.sign(flat, facts, keyring, KEY_NAME)
    apt.export_key(keyring, KEY_NAME, top / "gpgkey")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the lab's data folder")
    root: Path = parser.parse_args().root
    apt.publish(root / "apt/nvidia", lambda top: build_repository(top, root / "keys"))


if __name__ == "__main__":
    main()

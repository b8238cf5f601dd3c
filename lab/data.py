# SPDX-License-Identifier: GPL-3.0-or-later
"""What the origin serves, in a volume: the model registry and the APT repositories."""

from __future__ import annotations

from pathlib import Path

from lab import build, containers, fetch, say, sh, state
from lab.containers import volume
from lab.docker import docker
from lab.hashing import content_hash, files_under
from lab.names import DATA_VOLUME, LABEL, PREFIX, ROOT

_MODELS, _APT, _NVIDIA = "models", "apt", "nvidia"
#: What decides the bytes of the store, below lab/.
_SEED_CODE = ("origin/seed.py", "origin/seed_hub.py", "ollama/gguf_header.py", "ollama/gofmt.py")


def fingerprints() -> dict[str, str]:
    """The content each part of the volume should have."""
    return {
        _MODELS: content_hash({"gguf": fetch.GGUF_SHA256}, _code(*_SEED_CODE)),
        _APT: content_hash({}, _code("apt.py", "repack.py")),
        _NVIDIA: content_hash({}, _code("__init__.py", *build.NVIDIA_CODE)),
    }


def _code(*parts: str) -> dict[str, Path]:
    """The files of parts of the lab, without its documentation."""
    found = files_under(ROOT / "lab" / part for part in parts)
    return {str(path.relative_to(ROOT)): path for path in found if path.suffix != ".md"}


def ensure() -> None:
    """Fill what is missing or outdated."""
    wanted = fingerprints()
    present = _marks()
    if present.get(_APT) != wanted[_APT]:
        say.step("building the APT repository (Debian's packages under Docker's names)")
        _in_container(
            "apt", f"python3 -m lab.repack --root /srv/lab && {_mark(_APT, wanted[_APT])}"
        )
    if present.get(_NVIDIA) != wanted[_NVIDIA]:
        say.step("building the APT repository of the NVIDIA Container Toolkit's stand-in")
        _in_container(
            "nvidia",
            f"python3 -m lab.nvidia.packages --root /srv/lab && {_mark(_NVIDIA, wanted[_NVIDIA])}",
        )
    if present.get(_MODELS) != wanted[_MODELS]:
        gguf = fetch.weights()
        say.step("filling the origin's model registry")
        _in_container(
            "seed",
            f"cat > /tmp/{fetch.GGUF}"
            f" && python3 -m lab.origin.seed --root /srv/lab --gguf /tmp/{fetch.GGUF}"
            f" && {_mark(_MODELS, wanted[_MODELS])}",
            gguf,
        )


def _mark(part: str, fingerprint: str) -> str:
    return f"mkdir -p /srv/lab/done && echo {fingerprint} > /srv/lab/done/{part}"


def _marks() -> dict[str, str]:
    show = "cd /srv/lab/done 2>/dev/null && grep -H . * || true"
    containers.remove_and_wait(f"{PREFIX}-marks")
    lines = docker("run", *_run_options("marks"), build.tag("services"), "sh", "-c", show)
    return dict(line.split(":", 1) for line in lines.splitlines())


def _in_container(name: str, script: str, stdin: Path | None = None) -> None:
    """Run a script in the services image with the volume; what a killed run left is in its way."""
    containers.remove_and_wait(f"{PREFIX}-{name}")
    argv = ["docker", "run", "--interactive", *_run_options(name), build.tag("services")]
    with (stdin or Path("/dev/null")).open("rb") as source:
        sh.logged(
            [*argv, "sh", "-ec", script], state.local_dir("log") / f"{name}.log", stdin=source
        )


def _run_options(name: str) -> list[str]:
    return [
        *("--rm", "--name", f"{PREFIX}-{name}", "--label", f"{LABEL}=1"),
        *volume(DATA_VOLUME, "/srv/lab"),
    ]

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the origin serves, in a volume: the model registry and the APT repository."""

from __future__ import annotations

from pathlib import Path

from lab import build, containers, fetch, say, sh, state
from lab.containers import volume
from lab.docker import docker
from lab.hashing import content_hash, files_under
from lab.names import DATA_VOLUME, LABEL, PREFIX, ROOT

_MODELS, _APT = "models", "apt"
#: What decides the bytes of the store, below lab/.
_SEED_CODE = ("origin/seed.py", "origin/seed_hub.py", "ollama/gguf_header.py", "ollama/gofmt.py")


def fingerprints() -> dict[str, str]:
    """The content each part of the volume should have."""
    code = {str(p.relative_to(ROOT)): p for p in files_under(ROOT / "lab" / p for p in _SEED_CODE)}
    return {
        _MODELS: content_hash({"gguf": fetch.GGUF_SHA256}, code),
        _APT: content_hash({}, {"repack.py": ROOT / "lab/repack.py"}),
    }


def ensure() -> None:
    """Fill what is missing or outdated."""
    wanted = fingerprints()
    present = _marks()
    if present.get(_APT) != wanted[_APT]:
        say.step("building the APT repository (Debian's packages under Docker's names)")
        _in_container(
            "apt", f"python3 -m lab.repack --root /srv/lab && {_mark(_APT, wanted[_APT])}"
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

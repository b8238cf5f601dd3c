# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's images: each named by the hash of its recipe, built only when that name is missing."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab import fetch, packages, say, sh, state
from lab.docker import docker, images
from lab.hashing import content_hash, files_under
from lab.host import Host
from lab.names import LABEL, PREFIX, ROOT

RECIPES = ROOT / "lab/images"
PURPOSE = "image builder"
_CHROOTS = state.MACHINE / "build"


@dataclass(frozen=True)
class Image:
    """One image: a Debian suite from the archive, or a Dockerfile upon another one of ours."""

    name: str
    recipe: str
    suite: str | None = None
    parent: str | None = None
    #: Parts of the lab's own code that the image carries, below lab/.
    code: tuple[str, ...] = ()
    #: Whether the locked Python libraries go in.
    libraries: bool = False
    #: Whether the parent only helps to build it, and no layer of the parent stays below it.
    standalone: bool = False


#: The origin's code, with what its seeding shares with the stand-in.
ORIGIN_CODE = ("origin", "ollama/__init__.py", "ollama/gguf_header.py", "ollama/gofmt.py")
#: What the stand-ins of NVIDIA's packages are made by and made of.
NVIDIA_CODE = (
    "apt.py",
    "nvidia/__init__.py",
    "nvidia/package",
    "nvidia/packages.py",
    "nvidia/toolkit",
)

_ALL = (
    Image("debian", "debian", suite="trixie"),
    Image("debian12", "debian", suite="bookworm"),
    Image("box", "box", parent="debian"),
    Image("bookworm", "box", parent="debian12"),
    Image("engine", "engine", parent="box"),
    Image("python", "python", parent="debian", libraries=True),
    Image(
        "services",
        "services",
        parent="python",
        code=("__init__.py", "repack.py", *NVIDIA_CODE, *ORIGIN_CODE),
    ),
    Image("ollama", "ollama", parent="python", code=("__init__.py", "ollama")),
    Image(
        "cloudflared",
        "cloudflared",
        parent="debian",
        code=("__init__.py", "cloudflared"),
        standalone=True,
    ),
)
IMAGES = {image.name: image for image in _ALL}


def context(image: Image) -> dict[str, Path]:
    """The files of a recipe, under the names its Dockerfile sees."""
    recipe = RECIPES / image.recipe
    files = {str(path.relative_to(recipe)): path for path in files_under([recipe])}
    for path in files_under(ROOT / "lab" / part for part in image.code):
        if path.suffix != ".md":
            files[f"code/{path.relative_to(ROOT)}"] = path
    if image.libraries:
        files["requirements.txt"] = fetch.LIBRARIES
    return files


@cache
def tag(name: str) -> str:
    """The image's full name; it changes when anything in its recipe or its parents' does."""
    image = IMAGES[name]
    values = {
        "suite": image.suite,
        "parent": tag(image.parent) if image.parent else None,
        "python": fetch.IMAGE_PYTHON if image.libraries else None,
        "machine": os.uname().machine,
    }
    return f"{PREFIX}/{name}:{content_hash(values, context(image))}"


def ensure(host: Host, *names: str) -> list[str]:
    """Build what is missing, parents first; returns what was built."""
    present = images()
    built: list[str] = []
    for name in names:
        _ensure(host, IMAGES[name], present, built)
    return built


def _ensure(host: Host, image: Image, present: dict[str, str], built: list[str]) -> None:
    if image.name in built or tag(image.name) in present:
        return
    if image.parent:
        _ensure(host, IMAGES[image.parent], present, built)
    work = _fresh(state.local_dir("build") / image.name)
    try:
        _import_debian(host, image, work) if image.suite else _build(image, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    built.append(image.name)


def _fresh(folder: Path) -> Path:
    """An empty folder in the place of what a killed run left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _import_debian(host: Host, image: Image, work: Path) -> None:
    if not shutil.which("mmdebstrap"):
        packages.install(host, PURPOSE, ["mmdebstrap", "debian-archive-keyring"])
    wanted = ",".join((RECIPES / image.recipe / "packages").read_text().split())
    say.step(f"building image {image.name}: Debian {image.suite} from the archive")
    tarball = work / "root.tar"
    argv = ["mmdebstrap", "--variant=minbase", f"--include={wanted}"]
    argv += [str(image.suite), str(tarball)]
    env = dict(os.environ)
    if host.root:
        # As root it mounts things below its folder. In namespaces of its own they end with it, even
        # if it is killed, and the folder can be removed without looking.
        argv = ["unshare", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child", *argv]
        env["TMPDIR"] = str(_fresh(_CHROOTS))
    try:
        sh.logged(argv, state.local_dir("log") / f"image-{image.name}.log", env=env)
    finally:
        shutil.rmtree(_CHROOTS, ignore_errors=True)
    docker("import", "--change", f"LABEL {LABEL}=1", str(tarball), tag(image.name))


def _build(image: Image, work: Path) -> None:
    if image.libraries:
        fetch.libraries(work / "wheels")
    say.step(f"building image {image.name}")
    for name, path in context(image).items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, work / name)
    assert image.parent
    sh.logged(
        [
            *("docker", "build", "--build-arg", f"PARENT={tag(image.parent)}"),
            *("--tag", tag(image.name), str(work)),
        ],
        state.local_dir("log") / f"image-{image.name}.log",
        # The classic builder: older engines come without BuildKit's client plugin.
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    if image.standalone:
        # What it was put together in stays behind without a name.
        docker("image", "prune", "--force", "--filter", f"label={LABEL}=1")


def drop_superseded() -> None:
    """Older recipes of the images that are there go, unless a container still runs on them."""
    present = images()
    for name in IMAGES:
        if tag(name) in present:
            for reference in present:
                if reference.startswith(f"{PREFIX}/{name}:") and reference != tag(name):
                    docker("rmi", reference, check=False)

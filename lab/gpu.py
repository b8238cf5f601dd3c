# SPDX-License-Identifier: GPL-3.0-or-later
"""`lab gpu`: pretended GPUs in a box, with device nodes, a table and an nvidia-smi."""

from __future__ import annotations

import io
import tarfile
import tempfile
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.docker import docker, inspect
from lab.errors import LabError
from lab.names import ROOT, box_container

FILES = ROOT / "lab/nvidia/gpu"
TABLE = "etc/edgellm-lab/gpus"
UNIT = "edgellm-lab-gpu.service"
#: Where the files go in a box, and how.
PLACES = {
    "nvidia-smi": ("usr/bin/nvidia-smi", 0o755),
    "edgellm-lab-gpu": ("usr/lib/edgellm-lab/edgellm-lab-gpu", 0o755),
    UNIT: (f"etc/systemd/system/{UNIT}", 0o644),
}
MOST = 8


@dataclass(frozen=True)
class Gpu:
    """One pretended GPU, the same in every box and at every time."""

    index: int
    name: str = "EDGELLM LAB GPU (stand-in)"
    memory_mib: int = 24576
    driver: str = "580.95.05"

    @property
    def uuid(self) -> str:
        return f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'gpu{self.index}.edgellm-lab')}"

    @property
    def line(self) -> str:
        return f"{self.index};{self.uuid};{self.name};{self.memory_mib};{self.driver}\n"


def gpu(box: str, count: int) -> dict[str, Any]:
    """Plug that many GPUs into a box, in the place of those that it had."""
    if not 0 <= count <= MOST:
        raise LabError(f"--count {count}: a box takes 0 to {MOST} GPUs")
    container = box_container(box)
    present = inspect("container", container)
    if not present or not present["State"]["Running"]:
        raise LabError(f"{box} does not run; bring it up with `python -m lab up --boxes {box}`")
    plugged = [Gpu(index) for index in range(count)]
    if plugged:
        _plug(container, plugged)
    else:
        _unplug(container)
    return {"box": box, "gpus": [{**asdict(one), "uuid": one.uuid} for one in plugged]}


def archive(plugged: list[Gpu]) -> bytes:
    """What a box with these GPUs has more than one without, as a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (place, mode) in PLACES.items():
            _add(tar, place, (FILES / name).read_bytes(), mode)
        _add(tar, TABLE, "".join(one.line for one in plugged).encode(), 0o644)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, place: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(place)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _plug(container: str, plugged: list[Gpu]) -> None:
    with tempfile.TemporaryFile() as stream:
        stream.write(archive(plugged))
        stream.seek(0)
        docker("cp", "-", f"{container}:/", stdin=stream)
    _in(container, "systemctl", "daemon-reload")
    _in(container, "systemctl", "enable", "--quiet", UNIT)
    _in(container, "systemctl", "restart", UNIT)


def _unplug(container: str) -> None:
    _in(container, "rm", "--force", f"/{TABLE}", "/usr/bin/nvidia-smi")
    script = f"/{PLACES['edgellm-lab-gpu'][0]}"
    _in(container, "sh", "-c", f"[ ! -e {script} ] || {script}")
    _in(container, "sh", "-c", f"systemctl disable --now --quiet {UNIT} 2>/dev/null || true")
    _in(container, "rm", "--force", *(f"/{Path(place)}" for place, _mode in PLACES.values()))
    _in(container, "systemctl", "daemon-reload")


def _in(container: str, *argv: str) -> None:
    docker("exec", container, *argv)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for nvidia-container-runtime-hook: GPUs for `--gpus`, behind runc's back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.nvidia.toolkit import driver, runtime, spec
from lab.nvidia.toolkit.driver import Node, NoDriver, NoSuchGpu

_CGROUPS = Path("/sys/fs/cgroup")
_V1_ONLY = (
    "the lab's stand-in can let a container use a device by cgroup v1 only, and this machine has"
    " cgroup v2; use CDI or the runtime nvidia instead"
)


class Failure(Exception):
    """The container must not start; the text says why."""


def devices_group(cgroups: str) -> Path:
    """The folder of a process's devices cgroup, from its /proc/PID/cgroup."""
    for line in cgroups.splitlines():
        _number, controllers, path = line.split(":", 2)
        if "devices" in controllers.split(","):
            return _CGROUPS / "devices" / path.lstrip("/")
    raise Failure(_V1_ONLY)


def script(rootfs: str, nodes: list[Node]) -> str:
    """The shell commands that put nodes and files into a container's root file system."""
    lines = ["set -eu", f"root='{rootfs}'"]
    for node in nodes:
        place = f'"$root{node.path}"'
        lines.append(f"[ -e {place} ] || mknod -m 0666 {place} c {node.major} {node.minor}")
    for path in spec.MOUNTS:
        lines += [
            f'mkdir -p "$root{Path(path).parent}"',
            f'[ -e "$root{path}" ] || : >"$root{path}"',
            f'mount --bind "{path}" "$root{path}"',
            f'mount -o remount,bind,ro,nosuid,nodev "$root{path}"',
        ]
    return "".join(f"{line}\n" for line in lines)


def inject(state: dict[str, Any]) -> None:
    """Put the GPUs that a container's environment names into it."""
    config = json.loads((Path(state["bundle"]) / "config.json").read_text(encoding="utf-8"))
    names = runtime.asked(config["process"].get("env", []))
    if not names:
        return
    nodes = [driver.node(gpu.node) for gpu in driver.wanted(names)] + driver.common_nodes()
    pid = state["pid"]
    group = devices_group(Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii"))
    for node in nodes:
        (group / "devices.allow").write_text(f"c {node.major}:{node.minor} rw", encoding="ascii")
    rootfs = str(Path(state["bundle"], config["root"]["path"]))
    entered = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", "sh", "-c", script(rootfs, nodes)]
    done = subprocess.run(entered, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"mount error: {done.stderr.strip()}")


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[-1:] != ["prestart"]:
        return 0 if arguments[-1:] in (["poststart"], ["poststop"]) else 2
    try:
        inject(json.load(sys.stdin))
    except NoDriver as error:
        problem = f"initialization error: nvml error: {str(error).lower()}"
    except NoSuchGpu as error:
        problem = f"device error: {error}: unknown device"
    except Failure as failure:
        problem = str(failure)
    else:
        return 0
    print(f"nvidia-container-cli: {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nvidia-smi says: GPUs, the processes on them, or why it says nothing. Private."""

from __future__ import annotations

from dataclasses import dataclass

from . import programs

PROGRAMS = (
    "usr/bin/nvidia-smi",
    "usr/sbin/nvidia-smi",
    "usr/local/bin/nvidia-smi",
    "usr/lib/wsl/lib/nvidia-smi",
)
NOT_INSTALLED = "not_installed"
MISMATCH = "driver_library_mismatch"
NOT_LOADED = "driver_not_loaded"
NO_DEVICES = "no_devices"
UNKNOWN_ERROR = "nvml_unknown_error"
NO_PERMISSION = "no_permission"
TIMEOUT = "timeout"
FAILED = "failed"

_FORMAT = "--format=csv,noheader,nounits"
_GPUS = "--query-gpu=index,uuid,name,driver_version,memory.total,memory.used"
# The name comes last because it may hold commas.
_PROCESSES = "--query-compute-apps=gpu_uuid,pid,used_memory,process_name"
_MIB = 1024 * 1024
# In nvidia-smi's own words, which say more than its exit status. The first that fits counts.
_WORDS = (
    ("driver/library version mismatch", MISMATCH),
    ("couldn't communicate with the nvidia driver", NOT_LOADED),
    ("driver not loaded", NOT_LOADED),
    ("no devices were found", NO_DEVICES),
    ("no devices found", NO_DEVICES),
    ("insufficient permissions", NO_PERMISSION),
    ("failed to initialize nvml: unknown error", UNKNOWN_ERROR),
    # One GPU fell off the bus; the exit status would say an unknown error of NVML as a whole.
    ("unable to determine the device handle", FAILED),
)
# A warning: the infoROM of a GPU is damaged. The GPUs compute all the same.
_WARNED = 14
# NVML's numbers, which nvidia-smi exits with.
_STATUS = {4: NO_PERMISSION, 6: NO_DEVICES, 9: NOT_LOADED, 18: MISMATCH, 255: UNKNOWN_ERROR}


@dataclass(frozen=True)
class Gpu:
    """One GPU; sizes in bytes, None where nvidia-smi could not tell."""

    index: int
    uuid: str
    name: str
    driver_version: str
    memory_total: int | None
    memory_used: int | None


@dataclass(frozen=True)
class Process:
    """One process that computes on a GPU."""

    pid: int
    gpu_uuid: str
    name: str
    memory_used: int | None


@dataclass(frozen=True)
class Smi:
    """Everything nvidia-smi said; C(problem) is one of the codes above, None when all is well."""

    program: str | None = None
    gpus: tuple[Gpu, ...] = ()
    processes: tuple[Process, ...] = ()
    problem: str | None = None
    message: str = ""


def read(root: str = "/", run: programs.Run = programs.run) -> Smi:
    """Ask the host's nvidia-smi; never raises because of what it answers."""
    program = programs.find(PROGRAMS, root)
    if program is None:
        return Smi(problem=NOT_INSTALLED, message="nvidia-smi is not installed")
    answer = run([program, _GPUS, _FORMAT], {})
    if answer.returncode is None:
        return Smi(program, problem=TIMEOUT, message=f"{program} did not answer in time")
    said = answer.out + answer.err
    gpus = parse_gpus(answer.out)
    problem = classify(answer.returncode, said)
    if problem is None and not gpus:
        problem = FAILED
    if problem:
        return Smi(program, gpus, problem=problem, message=_told(said, answer.returncode))
    # Where the driver cannot tell (WSL2), there are no processes to tell of.
    return Smi(program, gpus, parse_processes(run([program, _PROCESSES, _FORMAT], {}).out))


def classify(returncode: int, text: str) -> str | None:
    """The code of what went wrong; None when nothing did."""
    words = text.lower()
    for part, code in _WORDS:
        # A GPU's value may read "[Insufficient Permissions]" in an answer that is good.
        if part in words and (returncode != 0 or code != NO_PERMISSION):
            return code
    return None if returncode in (0, _WARNED) else _STATUS.get(returncode, FAILED)


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """The GPUs of nvidia-smi's CSV; lines of another form are skipped."""
    rows = [_cells(line) for line in text.splitlines() if line.count(",") >= 5]
    return tuple(_gpu(place, row) for place, row in enumerate(rows))


def parse_processes(text: str) -> tuple[Process, ...]:
    """The processes of nvidia-smi's CSV; lines without a process id are skipped."""
    rows = [
        [cell.strip() for cell in line.split(",", 3)]
        for line in text.splitlines()
        if line.count(",") >= 3
    ]
    return tuple(
        Process(int(pid), gpu_uuid, _text(name), _bytes(used))
        for gpu_uuid, pid, used, name in rows
        if pid.isdecimal()
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


def _gpu(place: int, row: list[str]) -> Gpu:
    index, uuid, *name, driver_version, total, used = row
    return Gpu(
        index=int(index) if index.isdecimal() else place,
        uuid=_text(uuid),
        name=_text(", ".join(name)),
        driver_version=_text(driver_version),
        memory_total=_bytes(total),
        memory_used=_bytes(used),
    )


def _text(value: str) -> str:
    """A value, or nothing where nvidia-smi says that it has none."""
    absent = value == "ERR!" or (value.startswith("[") and value.endswith("]"))
    return "" if absent else value


def _bytes(mib: str) -> int | None:
    return int(mib) * _MIB if mib.isdecimal() else None


def _told(text: str, returncode: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:4]) or f"nvidia-smi ended with status {returncode} and said nothing"

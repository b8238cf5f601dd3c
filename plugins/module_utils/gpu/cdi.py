# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CDI specification of the host's GPUs: the file, and what it should say. Private."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..host import units
from . import cdi_text, programs

PROGRAMS = ("usr/bin/nvidia-ctk", "usr/local/bin/nvidia-ctk")
SERVICE = "nvidia-cdi-refresh.service"
SETTINGS = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"
DEFAULT_PATH = "/var/run/cdi/nvidia.yaml"
SPEC_DIRS = ("/etc/cdi", "/var/run/cdi")

NOT_INSTALLED = "not_installed"
FAILED = "failed"
MISSING = "missing"
STALE = "stale"
STRAY = "stray"

_OUTPUT = "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH"
_FORMAT = "NVIDIA_CTK_CDI_GENERATE_OUTPUT_FORMAT"
_KIND = "nvidia.com/gpu"
_FORMS = (".yaml", ".json")
_LOGGED = re.compile(r'level=error msg="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, for programs and for people."""

    code: str
    reason: str


@dataclass(frozen=True)
class Spec:
    """The file at C(path) as it is (C(present)) and as nvidia-ctk would write it (C(fresh)).

    C(devices) are the names that the file offers now, C(strays) other files about the same GPUs.
    """

    path: str
    program: str | None
    fresh: str | None
    present: str | None
    devices: tuple[str, ...]
    strays: tuple[str, ...]
    problems: tuple[Problem, ...]
    # Whether nvidia-cdi-refresh.service is there and writes this very file.
    serviced: bool = False

    @property
    def reasons(self) -> list[str]:
        """Why it is not right; empty when it is."""
        return [problem.reason for problem in self.problems]

    def has(self, *codes: str) -> bool:
        """Whether one of these problems is there."""
        return any(problem.code in codes for problem in self.problems)


def read(
    path: str | None = None,
    spec_dirs: Sequence[str] = SPEC_DIRS,
    root: str = "/",
    run: programs.Run = programs.run,
) -> Spec:
    """The specification at this path, by default where nvidia-cdi-refresh.service writes it."""
    path = path or service_path(root)
    program = programs.find(PROGRAMS, root)
    present = _text(path, root)
    fresh, failure = _fresh(program, path, root, run)
    kind = cdi_text.parse(fresh).kind if fresh else None
    strays = tuple(_strays(path, spec_dirs, kind or _KIND, root))
    return Spec(
        path=path,
        program=program,
        fresh=fresh,
        present=present,
        devices=devices(present),
        strays=strays,
        problems=(
            *([failure] if failure else []),
            *_differences(path, present, fresh),
            *(Problem(STRAY, f"{stray} describes the same GPUs") for stray in strays),
        ),
        serviced=has_service(root) and same_file(path, service_path(root), root),
    )


def devices(text: str | None) -> tuple[str, ...]:
    """Names of the devices in a specification."""
    return cdi_text.parse(text).devices if text else ()


def settings(root: str = "/") -> dict[str, str]:
    """The variables that the host's administrator gave nvidia-cdi-refresh.service."""
    found = {}
    for line in (_text(SETTINGS, root) or "").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            value = value.strip()
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            found[name.strip()] = value[1:-1] if quoted else value
    return found


def service_path(root: str = "/") -> str:
    """Where nvidia-cdi-refresh.service writes the specification."""
    said = settings(root)
    path = said.get(_OUTPUT) or DEFAULT_PATH
    # Of another name nvidia-ctk makes one that says the form.
    return path if path.endswith(_FORMS) else f"{path}.{said.get(_FORMAT, 'yaml').lower()}"


def has_service(root: str = "/") -> bool:
    """Whether systemd can run nvidia-cdi-refresh.service; the toolkit has it since 1.18."""
    return units.systemd_runs(root) and units.load_state(SERVICE, root) == "loaded"


def same_file(one: str, other: str, root: str = "/") -> bool:
    """Whether two paths are one file, whatever links lie on the way (/var/run is one)."""
    return place(one, root).resolve() == place(other, root).resolve()


def variables(root: str = "/") -> dict[str, str]:
    """What nvidia-ctk needs to write the same as the service, except where to."""
    return {name: value for name, value in settings(root).items() if name != _OUTPUT}


def generate(
    program: str, path: str, root: str, run: programs.Run, *, output: str | None = None
) -> programs.Answer:
    """Have nvidia-ctk describe the GPUs as the file at C(path) should; written to C(output)."""
    # In a file the form goes by the file's name, on standard output by this option.
    form = "json" if path.endswith(".json") else "yaml"
    command = [program, "--quiet", "cdi", "generate", f"--format={form}"]
    if output:
        command.append(f"--output={output}")
    return run(command, variables(root))


def failure_of(answer: programs.Answer) -> str:
    """What nvidia-ctk says about its failure."""
    if answer.returncode is None:
        return "nvidia-ctk did not answer in time"
    logged = _LOGGED.findall(answer.err)
    lines = [line.strip() for line in (answer.err or answer.out).splitlines() if line.strip()]
    said = logged[-1].replace('\\"', '"') if logged else lines[-1] if lines else "no message"
    return f"nvidia-ctk: {said} (exit status {answer.returncode})"


def place(path: str, root: str) -> Path:
    """Where a path of the host lies when the host's root is this directory."""
    return Path(root, path.lstrip("/"))


def _fresh(
    program: str | None, path: str, root: str, run: programs.Run
) -> tuple[str | None, Problem | None]:
    if program is None:
        return None, Problem(NOT_INSTALLED, "nvidia-ctk is not installed")
    answer = generate(program, path, root, run)
    if answer.returncode != 0 or not answer.out.strip():
        return None, Problem(FAILED, failure_of(answer))
    return cdi_text.first_document(answer.out), None


def _differences(path: str, present: str | None, fresh: str | None) -> Iterator[Problem]:
    if present is None:
        yield Problem(MISSING, f"{path} is missing")
    elif fresh is not None:
        for reason in cdi_text.differences(present, fresh):
            yield Problem(STALE, f"{path} {reason}")


def _strays(path: str, spec_dirs: Sequence[str], kind: str, root: str) -> Iterator[str]:
    """Other files that engines read and that speak of the same kind of device."""
    seen = {place(path, root).resolve()}
    for directory in spec_dirs:
        for file in sorted(place(directory, root).glob("*")):
            # A link, and /var/run beside /run, are second names of a file.
            if file.suffix in _FORMS and file.is_file() and file.resolve() not in seen:
                seen.add(file.resolve())
                if cdi_text.parse(file.read_text("utf-8", "replace")).kind == kind:
                    yield str(Path(directory, file.name))


def _text(path: str, root: str) -> str | None:
    try:
        return place(path, root).read_text("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None

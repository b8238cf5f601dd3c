# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate: is what Ollama computes really computed by a GPU. Private.

Pure: rows from an observation, in the order of the chain, each with what was found and what to
type. A row behind a broken link is not judged, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from . import injection, smi
from .facts import WSL2
from .findings import findings
from .observation import Attempt, Loaded, Observation

Expect = Literal["auto", "always", "never"]
OK = "ok"
# Not judged because of a row before it, or because there is nothing to look at right now.
UNCHECKED = "unchecked"
IDLE = "idle"

_SITE = "ansible-playbook site.yml"
# Of the bytes that Ollama says are on the GPU, so many percent must be in use there.
_IN_USE = 80
# From here on an engine reads CDI specifications unless it is told not to.
_CDI_BY_ITSELF = (28, 2)
_EDITED = "the next restart of Docker Engine takes away"
_UUID = re.compile(r"UUID: ((?:GPU|MIG)-[^)\s]+)")
_INSTALL = "install NVIDIA's driver, then reboot"


@dataclass(frozen=True)
class Row:
    """One link of the chain. C(state) is as short as it can be and stays while nothing changes."""

    code: str
    check: str
    ok: bool
    found: str
    remedy: str = ""
    state: str = OK

    @property
    def told(self) -> dict[str, str | bool]:
        """The row for people and for programs."""
        return {
            "code": self.code,
            "check": self.check,
            "ok": self.ok,
            "found": self.found,
            "remedy": self.remedy,
        }


@dataclass(frozen=True)
class Verdict:
    """All rows, and what they come to."""

    gpu_expected: bool
    on_gpu: bool
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether every link holds."""
        return all(row.ok for row in self.rows)

    @property
    def summary(self) -> str:
        """GPU or CPU, for a table."""
        return "GPU" if self.on_gpu else "CPU"


@dataclass(frozen=True)
class _Case:
    """What a row is judged from: the observation, and the rows before it."""

    seen: Observation
    min_share: float
    rows: dict[str, Row]

    @property
    def injection(self) -> injection.Injection:
        return self.seen.container.injection if self.seen.container else injection.Injection()

    @property
    def restart(self) -> str:
        return f"sudo docker restart {self.seen.name}"

    def broken(self, *codes: str) -> Row | None:
        """The first of these rows that does not hold."""
        rows = (self.rows[code] for code in codes if code in self.rows)
        return next((row for row in rows if not row.ok), None)

    @property
    def blind(self) -> Row | None:
        """The row that says why nothing can be known about containers."""
        return self.broken("driver") or (self.broken("engine") if self.seen.engine.error else None)


def expected(expect: Expect, seen: Observation) -> bool:
    """Whether a GPU should do the work here."""
    if expect != "auto":
        return expect == "always"
    given = seen.container is not None and seen.container.injection.kind != "none"
    said = seen.facts.smi
    # A driver alone is no GPU.
    driven = said.program is not None and said.problem != smi.NO_DEVICES
    return seen.facts.pci_devices > 0 or driven or given


def judge(seen: Observation, expect: Expect = "auto", min_share: float = 90) -> Verdict:
    """The verdict on an observation."""
    if not expected(expect, seen):
        why = "none is used here, as asked for" if expect == "never" else "this host has no GPU"
        cpu = Row("driver", "GPU", True, f"CPU: {why}", state="cpu")
        return Verdict(False, False, (cpu,))
    case = _Case(seen, min_share, {})
    for row in _ROWS:
        judged = row(case)
        if judged:
            case.rows[judged.code] = judged
    return Verdict(True, _on_gpu(case), tuple(case.rows.values()))


def _on_gpu(case: _Case) -> bool:
    if not (case.rows["ollama"].ok and case.rows["memory"].ok):
        return False
    models = _models(case.seen)
    return not models or any(model.size_vram for model in models)


def _driver(case: _Case) -> Row:
    row = Row("driver", "nvidia-smi sees the GPU", False, "")
    said = case.seen.facts.smi
    if said.problem is None:
        found = _named(said.gpus)
        return replace(row, ok=True, found=found, state=f"{OK}: {found}")
    found = said.message
    if said.problem == smi.NOT_INSTALLED:
        found = f"{found}; NVIDIA GPUs on the PCI bus: {case.seen.facts.pci_devices}"
    return replace(row, found=found, remedy=_remedy(case, "driver", _INSTALL), state=said.problem)


def _cdi(case: _Case) -> Row | None:
    spec = case.seen.facts.cdi
    by_cdi = case.injection.kind == "cdi"
    if not (by_cdi or spec.program):
        return None
    row = Row("cdi", "the CDI specification fits", False, "", _SITE)
    blocked = case.broken("driver")
    if blocked:
        return _unchecked(row, blocked)
    if spec.problems:
        state = ", ".join(problem.code for problem in spec.problems)
        remedy = _remedy(case, "cdi", _SITE)
        return replace(row, found="; ".join(spec.reasons), remedy=remedy, state=state)
    absent = [name for name in case.injection.names if by_cdi and name not in spec.devices]
    offers = ", ".join(spec.devices)
    if absent:
        found = f"{spec.path} has no {', '.join(absent)}; it has {offers}"
        return replace(row, found=found, state=f"no {' '.join(absent)}")
    return replace(row, ok=True, found=f"{spec.path}: {offers}", remedy="")


def _engine(case: _Case) -> Row:
    row = Row("engine", "the engine is ready for GPUs", False, "")
    engine = case.seen.engine
    if engine.error:
        return replace(row, found=engine.error, remedy="sudo systemctl start docker", state="down")
    way = case.injection
    lacks = _ENGINE_LACKS[way.kind](case) or _will_lack(case)
    if lacks:
        return replace(row, found=lacks, remedy=_SITE, state=f"not ready {way.kind}")
    return replace(row, ok=True, found=f"Docker Engine {engine.version}, {way.way}")


def _will_lack(case: _Case) -> str:
    """What daemon.json takes from the engine as soon as it is restarted."""
    engine, kind = case.seen.engine, case.injection.kind
    if kind == "none":
        return ""
    if engine.settings is None:
        return "daemon.json is no valid JSON: Docker Engine cannot be restarted with it"
    features = engine.settings.get("features")
    switched = features.get("cdi") if isinstance(features, dict) else None
    by_itself = _version(engine.version) >= _CDI_BY_ITSELF
    if kind == "cdi" and switched is not True and not (by_itself and switched is None):
        return f"{_EDITED} CDI: daemon.json lacks features.cdi"
    runtimes = engine.settings.get("runtimes") or {}
    if kind == "runtime" and case.injection.runtime not in runtimes:
        return f"{_EDITED} runtime {case.injection.runtime}: daemon.json does not name it"
    return ""


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _lacks_cdi(case: _Case) -> str:
    engine = case.seen.engine
    if engine.cdi_spec_dirs is None:
        return f"Docker Engine {engine.version} has no CDI, 26.1 and newer have it"
    if not engine.cdi_spec_dirs:
        return f"CDI is off in Docker Engine {engine.version}: features.cdi in daemon.json"
    path = case.seen.facts.cdi.path
    folder = _plain(str(PurePosixPath(path).parent))
    if folder in map(_plain, engine.cdi_spec_dirs):
        return ""
    return f"Docker Engine reads {', '.join(engine.cdi_spec_dirs)}, not {path}"


def _lacks_runtime(case: _Case) -> str:
    runtime, has = case.injection.runtime, case.seen.engine.runtimes
    if runtime in has:
        return ""
    return f"Docker Engine has no runtime {runtime} (daemon.json), it has {', '.join(has)}"


def _lacks_hook(case: _Case) -> str:
    engine = case.seen.engine
    if engine.has_hook or engine.cdi_spec_dirs:
        return ""
    return "nvidia-container-runtime-hook, which serves --gpus, is not installed"


_ENGINE_LACKS: dict[str, Callable[[_Case], str]] = {
    "cdi": _lacks_cdi,
    "runtime": _lacks_runtime,
    "device_request": _lacks_hook,
    "none": lambda _case: "",
}


def _container(case: _Case) -> Row:
    row = Row("container", "a new container gets the GPU", False, "", _SITE)
    if case.blind:
        return _unchecked(row, case.blind)
    if case.seen.container is None:
        return replace(row, found=f"there is no container {case.seen.name}", state="no container")
    if case.injection.kind == "none":
        return replace(row, found="Ollama's container has no GPU", state="no injection")
    if case.seen.trial is None:
        return replace(
            row, ok=True, found=f"{case.injection.way}, not tried now", remedy="", state=IDLE
        )
    return _sight(case, row, case.seen.trial, _SITE)


def _cuda(case: _Case) -> Row | None:
    if case.seen.cuda is None:
        return None
    image = case.seen.cuda_image
    row = Row("cuda", f"{image} gets the GPU", False, "")
    remedy = f"sudo docker pull {image}" if "No such image" in case.seen.cuda.error else _SITE
    return _sight(case, row, case.seen.cuda, remedy)


def _ollama(case: _Case) -> Row:
    row = Row("ollama", "Ollama sees the GPU", False, "", case.restart)
    container = case.seen.container
    if case.blind:
        return _unchecked(row, case.blind)
    if container is None or case.injection.kind == "none":
        return _unchecked(row, case.rows["container"])
    if not container.running:
        why = f": {container.error}" if container.error else ""
        found = f"the container {case.seen.name} does not run ({container.status}){why}"
        start = f"sudo docker start {case.seen.name}"
        return replace(row, found=found, remedy=start, state="not running")
    # What no new container gets, this one does not get by starting again.
    remedy = f"{_SITE}; then {case.restart}" if case.broken("container") else case.restart
    attempt = case.seen.inside or Attempt(error="nvidia-smi was not run in it")
    return _sight(case, row, attempt, remedy)


def _share(case: _Case) -> Row:
    row = Row("share", "models lie on the GPU", False, "")
    models = _models(case.seen)
    said = _shares(case.seen, models)
    blocked = case.broken("ollama")
    if blocked:
        unchecked = _unchecked(row, blocked)
        heard = f"{unchecked.found} (the server says {said})" if models else unchecked.found
        return replace(unchecked, found=heard)
    if case.seen.loaded is None:
        found = f"Ollama's API does not answer: {case.seen.api_error}"
        return replace(row, found=found, remedy=case.restart, state="no api")
    if not models:
        return replace(row, ok=True, found="no model is loaded", state=IDLE)
    lowest = min(-1.0 if model.share is None else model.share for model in models)
    if lowest >= case.min_share:
        return replace(row, ok=True, found=said)
    on_cpu = any(model.size_vram == 0 for model in models)
    remedy = case.restart if on_cpu else "nvidia-smi; then a smaller model or num_ctx"
    found = f"{said}; at least {case.min_share:g}% was asked for"
    return replace(row, found=found, remedy=remedy, state="on the CPU" if on_cpu else "partly")


def _memory(case: _Case) -> Row:
    row = Row("memory", "nvidia-smi sees Ollama's memory", False, "", case.restart)
    fine = replace(row, ok=True, remedy="")
    loaded = case.seen.loaded
    claimed = sum(model.size_vram for model in loaded or ())
    blocked = case.broken("ollama")
    if loaded is None or (loaded and not claimed):
        blocked = blocked or case.broken("share")
    if blocked:
        return _unchecked(row, blocked)
    if not claimed:
        what = "no model lies in GPU memory" if loaded else "no model is loaded"
        return replace(fine, found=what, state=IDLE)
    # On WSL2 the processes are those of Windows.
    wsl = case.seen.facts.platform == WSL2
    processes = () if wsl else case.seen.facts.smi.processes
    if not processes or case.seen.pids is None:
        return _judge_use(case, row, claimed)
    mine = [process for process in processes if process.pid in case.seen.pids]
    if mine:
        found = ", ".join(f"process {p.pid}{_of_memory(p.memory_used)}" for p in mine)
        return replace(fine, found=found)
    others = ", ".join(f"{process.pid} ({process.name})" for process in processes)
    found = f"none of Ollama's processes is among those on the GPU: {others}"
    return replace(row, found=found, state="no process")


def _judge_use(case: _Case, row: Row, claimed: int) -> Row:
    """Without a list of processes: whether as much memory is in use as Ollama says it takes."""
    uuids = injection.wanted(case.injection, case.seen.facts.smi.gpus)
    gpus = [gpu for gpu in case.seen.facts.smi.gpus if uuids is None or gpu.uuid in uuids]
    told = [gpu.memory_used for gpu in gpus if gpu.memory_used is not None]
    if not told:
        found = f"nvidia-smi tells neither processes nor memory; Ollama says {_size(claimed)}"
        return replace(row, ok=True, found=found, remedy="")
    used = sum(told)
    found = f"{_size(used)} are in use, Ollama says that it takes {_size(claimed)}"
    if used * 100 >= claimed * _IN_USE:
        return replace(row, ok=True, found=found, remedy="")
    return replace(row, found=found, state="not in use")


# A row judges from those before it.
_ROWS: tuple[Callable[[_Case], Row | None], ...] = (
    _driver,
    _cdi,
    _engine,
    _container,
    _cuda,
    _ollama,
    _share,
    _memory,
)


def _sight(case: _Case, row: Row, attempt: Attempt, remedy: str) -> Row:
    """Whether nvidia-smi in a container sees exactly the GPUs that Ollama's should have."""
    if attempt.error:
        return replace(row, found=attempt.error, remedy=remedy, state="not run")
    problem = smi.classify(attempt.exit_code, attempt.output)
    if problem:
        said = " ".join(attempt.output.split())
        found = said or f"nvidia-smi ended with status {attempt.exit_code}"
        return replace(row, found=found, remedy=remedy, state=problem)
    sees = _UUID.findall(attempt.output)
    wrong = _wrong(case, sees)
    if wrong:
        return replace(row, found=wrong, remedy=remedy, state=wrong)
    return replace(row, ok=True, found=", ".join(sees), remedy="")


def _wrong(case: _Case, sees: list[str]) -> str:
    if not sees:
        return "nvidia-smi lists no GPU"
    count = case.injection.count
    whole = [uuid for uuid in sees if uuid.startswith("GPU-")]
    if count is not None and len(whole) != count:
        return f"sees {len(whole)} GPUs, {count} were asked for"
    wanted = injection.wanted(case.injection, case.seen.facts.smi.gpus)
    if wanted is None:
        return ""
    # The GPU that an instance (MIG) is part of is listed above it.
    instances = any(uuid.startswith("MIG-") for uuid in wanted)
    missing = sorted(wanted - set(sees))
    extra = [] if instances else sorted(set(whole) - wanted)
    lacks = f"does not see {', '.join(missing)}" if missing else ""
    has = f"sees {', '.join(extra)}, not meant for it" if extra else ""
    return "; ".join(filter(None, (lacks, has)))


def _remedy(case: _Case, kind: Literal["driver", "cdi"], otherwise: str) -> str:
    """What helps against what is wrong on the host, its cause first."""
    for found in findings(case.seen.facts):
        subject = found.code.partition("_")[0]
        if subject == "cdi" if kind == "cdi" else subject not in ("cdi", "toolkit"):
            return found.remedy
    return otherwise


def _unchecked(row: Row, blocked: Row) -> Row:
    unknown = blocked.state == UNCHECKED
    found = blocked.found if unknown else f'not checked: first "{blocked.check}"'
    return replace(row, found=found, remedy=blocked.remedy, state=UNCHECKED)


def _models(seen: Observation) -> tuple[Loaded, ...]:
    """What lies in memory, or lay there while the question was answered."""
    if seen.loaded:
        return seen.loaded
    prompted = seen.prompted.loaded if seen.prompted else None
    return (prompted,) if prompted else ()


def _shares(seen: Observation, models: Iterable[Loaded]) -> str:
    told = [
        f"{model.share}% of {model.name} in GPU memory"
        if model.share is not None
        else f"{model.name}: {model.size_vram} of {model.size} bytes, which cannot be"
        for model in models
    ]
    speed = seen.prompted.tokens_per_second if seen.prompted else None
    if speed is not None:
        told.append(f"{speed:.1f} tokens/s")
    return ", ".join(told)


def _named(gpus: Iterable[smi.Gpu]) -> str:
    names = [gpu.name or gpu.uuid for gpu in gpus]
    counted = [
        f"{names.count(name)} x {name}" if names.count(name) > 1 else name
        for name in dict.fromkeys(names)
    ]
    versions = {gpu.driver_version for gpu in gpus if gpu.driver_version}
    return ", ".join([*counted, *(f"driver {version}" for version in sorted(versions))])


def _of_memory(used: int | None) -> str:
    return "" if used is None else f" with {_size(used)}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"


def _plain(folder: str) -> str:
    """/var/run is /run."""
    return folder.rstrip("/").removeprefix("/var")

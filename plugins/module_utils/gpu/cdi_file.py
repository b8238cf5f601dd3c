# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring the CDI specification of the host's GPUs to what nvidia-ctk would write now. Private."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import EdgellmError, Refused
from . import cdi, programs

_SYSTEMCTL = ("usr/bin/systemctl", "bin/systemctl")
# nvidia-smi may take long in it; a later toolkit's unit may start for 90 seconds.
_SERVICE_SECONDS = 100
_NOT_YET = "nvidia-ctk is not installed yet"


@dataclass(frozen=True)
class Plan:
    """What has to be done, decided from what was read."""

    spec: cdi.Spec
    write: bool
    moves: Mapping[str, str]
    reasons: Sequence[str]

    @property
    def changes(self) -> bool:
        return self.write or bool(self.moves)


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be."""

    plan: Plan
    devices: Sequence[str]
    warnings: Sequence[str] = field(default_factory=tuple)

    def to_result(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "changed": plan.changes,
            "path": plan.spec.path,
            "devices": list(self.devices),
            "reasons": list(plan.reasons),
            "moved": dict(plan.moves),
            "diff": _diff(plan),
        }


def present(
    path: str | None,
    spec_dirs: Sequence[str],
    *,
    check_mode: bool,
    root: str = "/",
    run: programs.Run = programs.run,
) -> Outcome:
    """Have the specification fit the host and be the only one of its kind."""
    spec = cdi.read(path, spec_dirs, root, run)
    _refuse_two_files(spec, root)
    names = {stray: _free_name(stray, root) for stray in spec.strays}
    plan = decide(spec, names, check_mode=check_mode)
    if check_mode or not plan.changes:
        return Outcome(plan, cdi.devices(spec.fresh))
    warnings = _apply(plan, root, run)
    now = cdi.read(path, spec_dirs, root, run)
    if now.problems:
        raise EdgellmError(
            f"The CDI specification is still not right: {'; '.join(now.reasons)}. Look at: "
            f"sudo nvidia-ctk --debug cdi generate, and journalctl -u {cdi.SERVICE}",
            path=now.path,
            reasons=now.reasons,
        )
    return Outcome(plan, now.devices, warnings)


def decide(spec: cdi.Spec, names: Mapping[str, str], *, check_mode: bool) -> Plan:
    """What has to be done; C(names) are the ones that stray files would get."""
    if spec.has(cdi.NOT_INSTALLED):
        if not check_mode:
            raise Refused(
                "nvidia-ctk is not installed. It is in the package nvidia-container-toolkit-base; "
                "the role edgellm.host.nvidia_container_toolkit installs it."
            )
        return Plan(spec, write=True, moves=names, reasons=[_NOT_YET])
    if spec.has(cdi.FAILED):
        reason = next(p.reason for p in spec.problems if p.code == cdi.FAILED)
        raise Refused(
            f"The GPUs of this host cannot be described for containers. {reason}. nvidia-smi must "
            "work first; its message says what is in the way."
        )
    return Plan(spec, write=spec.has(cdi.MISSING, cdi.STALE), moves=names, reasons=spec.reasons)


def _refuse_two_files(spec: cdi.Spec, root: str) -> None:
    """One file each for the module and for the service would be two for the engine."""
    own = cdi.service_path(root)
    if cdi.has_service(root) and not spec.serviced:
        raise Refused(
            f"path is {spec.path}, but {cdi.SERVICE} writes {own} at every boot, and engines would "
            f"read both. Leave path out, or say in {cdi.SETTINGS}: "
            f"NVIDIA_CTK_CDI_OUTPUT_FILE_PATH={spec.path}"
        )


def _free_name(stray: str, root: str) -> str:
    """A name beside it that no engine reads and no file has."""
    names = itertools.chain(
        [f"{stray}.disabled"], (f"{stray}.disabled.{n}" for n in itertools.count(2))
    )
    return next(name for name in names if not cdi.place(name, root).exists())


def _apply(plan: Plan, root: str, run: programs.Run) -> list[str]:
    warnings = _write(plan.spec, root, run) if plan.write else []
    # Only now: until then one of these may be what containers live on.
    for stray, name in plan.moves.items():
        _rename(stray, name, root)
    return warnings


def _write(spec: cdi.Spec, root: str, run: programs.Run) -> list[str]:
    if _refreshed(spec, root, run):
        return []
    _generate(spec, root, run)
    warning = (
        f"{cdi.SERVICE} did not write {spec.path}, so nvidia-ctk was run instead. It has to work "
        f"at boot: journalctl -u {cdi.SERVICE} says what is in its way."
    )
    return [warning] if spec.serviced else []


def _rename(stray: str, name: str, root: str) -> None:
    try:
        cdi.place(stray, root).rename(cdi.place(name, root))
    except OSError as error:
        raise EdgellmError(
            f"{stray} describes the same GPUs and cannot be renamed to {name}: {error.strerror}. "
            "Move it away by hand, then run again."
        ) from error


def _refreshed(spec: cdi.Spec, root: str, run: programs.Run) -> bool:
    """Whether the service made the file right."""
    systemctl = programs.find(_SYSTEMCTL, root)
    if not spec.serviced or systemctl is None:
        return False
    # Systemd counts failed starts, and would refuse one more.
    run([systemctl, "reset-failed", cdi.SERVICE], {})
    run([systemctl, "restart", cdi.SERVICE], {}, _SERVICE_SECONDS)
    now = cdi.read(spec.path, (), root, run)
    return not now.problems


def _generate(spec: cdi.Spec, root: str, run: programs.Run) -> None:
    assert spec.program is not None
    output = str(cdi.place(spec.path, root))
    answer = cdi.generate(spec.program, spec.path, root, run, output=output)
    if answer.returncode != 0:
        raise EdgellmError(
            f"{spec.path} could not be written. {cdi.failure_of(answer)}", path=spec.path
        )


def _diff(plan: Plan) -> list[dict[str, str]]:
    said = [{"prepared": f"{stray} -> {name}\n"} for stray, name in plan.moves.items()]
    if plan.write:
        text = {"before": plan.spec.present or "", "after": plan.spec.fresh or ""}
        said.append({"before_header": plan.spec.path, "after_header": plan.spec.path, **text})
    return said

# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change daemon.json as one step: file, engine and record together, or none of them. Private."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import typing as t
from pathlib import Path

from . import docker_daemon
from .atomic import write_json
from .engine_service import EngineService, NotUp, running_containers
from .errors import EdgellmError, Refused

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .docker_daemon import Config

Sections = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was done, or would be; its result says no password."""

    path: str
    before: str
    after: str
    config: Config
    restarted: bool
    started_units: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def to_result(self) -> dict[str, t.Any]:
        return {
            "changed": self.before != self.after or self.restarted,
            "diff": {
                "before_header": self.path,
                "after_header": self.path,
                "before": docker_daemon.masked(self.before),
                "after": docker_daemon.masked(self.after),
            },
            "config": json.loads(docker_daemon.masked(json.dumps(self.config))),
            "restarted": self.restarted,
            "started_units": self.started_units,
        }


class DaemonFile:
    """The file, the record of who set what in it, and a note about a change that is under way.

    The note makes a change that was interrupted between file and engine visible to the next run.
    """

    def __init__(
        self, path: str, record: str, *, staging: str, move: Callable[[str, str], None]
    ) -> None:
        # What a link points to is replaced, not the link.
        self.path = Path(path).resolve()
        self._record = Path(record)
        self._note = Path(f"{record}.pending")
        self._staging = staging
        self._move = move

    def read(self) -> str | None:
        try:
            return self.path.read_text("utf-8-sig")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise Refused(
                f"{self.path} is not text in UTF-8 ({error.reason} at byte {error.start}). The "
                "file was left as it is. Save it as UTF-8 or move it away, then run again."
            ) from error

    def write(self, text: str | None) -> None:
        """Replace the file in one step; without a text it goes."""
        if text is None:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        # A proxy's URL may hold a password.
        private = '"proxies"' in text
        if private:
            self.path.touch(mode=0o600)
            self.path.chmod(0o600)
        is_new = not self.path.exists()
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self._staging, delete=False
        ) as staged:
            staged.write(text)
        if is_new:
            Path(staged.name).chmod(0o644)
        # Keeps owner and mode of a file that is there.
        self._move(staged.name, str(self.path))

    def sections(self) -> Sections:
        """What each section set last, an interrupted change included."""
        said = self.note() or _read_json(self._record) or {}
        return dict(said.get("sections", {}))

    def note(self) -> dict[str, t.Any] | None:
        """The change that was not brought to its end, with the file's content before it."""
        return _read_json(self._note)

    def begin(self, previous: str | None, sections: Sections) -> None:
        self._record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        # The previous text may hold a proxy's password.
        write_json(str(self._note), {"previous": previous, "sections": sections}, mode=0o600)

    def commit(self, sections: Sections) -> None:
        record = {"sections": sections}
        if _read_json(self._record) != record:
            self._record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_json(str(self._record), record, mode=0o600)
        self._note.unlink(missing_ok=True)

    def abandon(self) -> None:
        self._note.unlink(missing_ok=True)


def configure(
    file: DaemonFile, engine: EngineService, *, section: str, wanted: Config, check_mode: bool
) -> Outcome:
    """Bring one section's keys into the file and the engine to it."""
    text, sections, note = file.read(), file.sections(), file.note()
    now = docker_daemon.parse(text or "", str(file.path))
    merged = docker_daemon.merge(now, json.loads(json.dumps(wanted)), sections, section)
    rewrite = not docker_daemon.same(now, merged.config)
    outcome = Outcome(
        path=str(file.path),
        before=text or "",
        after=docker_daemon.render(merged.config) if rewrite else text or "",
        config=merged.config,
        restarted=(rewrite or note is not None) and engine.is_running(),
    )
    if check_mode:
        return outcome
    others = {name: keys for name, keys in sections.items() if name != section}
    sections = others | ({section: merged.applied} if merged.applied else {})
    if rewrite:
        file.begin(note["previous"] if note else text, sections)
        file.write(outcome.after)
    if outcome.restarted:
        outcome = _restart(file, engine, outcome)
    if rewrite or note or sections:
        file.commit(sections)
    return outcome


def _restart(file: DaemonFile, engine: EngineService, outcome: Outcome) -> Outcome:
    dependants, containers = engine.dependants(), running_containers()
    try:
        engine.restart()
    except NotUp as error:
        reason = docker_daemon.masked(str(error))
        raise _restore(file, engine, reason, dependants) from error
    lost = sorted(containers - running_containers())
    warning = (
        f"These containers ran before the engine was restarted and do not run now: "
        f"{', '.join(lost)}. Start them with: docker start {' '.join(lost)}"
    )
    return dataclasses.replace(
        outcome,
        started_units=engine.start_again(dependants),
        warnings=[warning] if lost else [],
    )


def _restore(
    file: DaemonFile, engine: EngineService, reason: str, dependants: list[str]
) -> EdgellmError:
    """Put the previous file back, start the engine with it, and say what happened."""
    note = file.note()
    file.write(note["previous"] if note else None)
    file.abandon()
    try:
        engine.restart()
        engine.start_again(dependants)
    except NotUp as error:
        end = "The previous file was put back, but the engine does not come up with it: "
        end += docker_daemon.masked(str(error))
    else:
        end = "The previous file was put back and the engine runs with it."
    return EdgellmError(
        f"The engine did not come up with the new {file.path}: {reason}\n{end}",
        restored=True,
        journal=reason,
    )


def _read_json(path: Path) -> dict[str, t.Any] | None:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Refused(
            f"{path} is damaged ({error}). Delete it and run again; keys that are in daemon.json "
            "then count as set by hand."
        ) from error
    if not isinstance(content, dict):
        raise Refused(f"{path} is damaged (not an object). Delete it and run again.")
    return content

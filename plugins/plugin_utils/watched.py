# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An action that shows how far a module is that works for long. Private."""

from __future__ import annotations

import dataclasses
import posixpath
import secrets
import shlex
import typing as t

from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.edgellm.host.plugins.plugin_utils import interrupt, live, progress

# What is fetched before anybody gets impatient needs no progress.
WORTH_WATCHING = 16_000_000
LIMIT_SECONDS = 7 * 24 * 3600
POLL_SECONDS = 2.0
# The work goes on while the connection is away: how many polls in a row may fail.
LOST_POLLS = 30
# How many polls may find neither a result nor a sign of the process.
DEAD_POLLS = 3
LOST = (
    "The work on the host ended without a result (was it killed, or the host rebooted?). "
    "What was fetched is kept: run it again."
)
GOES_ON = (
    "The connection was lost for too long. The work on the host goes on: run it again, and it will "
    "be waited for."
)
# Waits for the number of a process that is only just starting, and then for its end.
STOP = """\
n=0
number='s/.*"pid": *\\([0-9][0-9]*\\).*/\\1/p'
while pid=$(sed -n "$number" {file} 2>/dev/null); [ -z "$pid" ] && [ $n -lt 30 ]
do sleep 0.1; n=$((n+1)); done
[ -n "$pid" ] && kill -TERM "$pid"
while [ -d "/proc/${{pid:-none}}" ] && [ $n -lt 100 ]
do sleep 0.1; n=$((n+1)); done
"""
ASYNC_KEYS = ("ansible_job_id", "finished", "results_file", "started")

# What async_status says itself, rather than the module it asked about.
NO_JOB = "could not find job"

Result = dict[str, t.Any]

display = Display()


def _is_the_modules_own(answer: Result) -> bool:
    """Whether a finished job left the module's result, and not only a trace of its end."""
    if answer.get("failed"):
        # The wrapper of a job adds the command when that left no result.
        return "cmd" not in answer and NO_JOB not in str(answer.get("msg", NO_JOB))
    return "changed" in answer


@dataclasses.dataclass(frozen=True)
class Job:
    """Work that goes on by itself on the host, and its files there."""

    id: str
    async_dir: str
    status_file: str
    results_file: str
    tmpdir: str


class WatchedAction(ActionBase):
    """The result is the module's own, whichever way it was run."""

    MODULE: str

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        self._supports_async = True
        result: Result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        native = self._connection.has_native_async
        if self._task.async_val or self._task.check_mode or native:
            wrap = bool(self._task.async_val) and not native
            return {**result, **self._module(task_vars, wrap_async=wrap)}
        if "status_file" in self._task.args:
            return {**result, **self._module(task_vars)}
        done = self._short_run(task_vars)
        return {**result, **(self._watched(task_vars) if done is None else done)}

    def _short_run(self, task_vars: Result) -> Result | None:
        """The result of what needs no watching, or None if long work is to be done."""
        raise NotImplementedError

    def _module(self, task_vars: Result, *, wrap_async: bool = False, **changes: t.Any) -> Result:
        done: Result = self._execute_module(
            module_name=self.MODULE,
            module_args={**self._task.args, **changes},
            task_vars=task_vars,
            wrap_async=wrap_async,
        )
        return done

    def _watched(self, task_vars: Result) -> Result:
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        tmpdir = shell.tmpdir
        async_dir = self.get_shell_option("async_dir", default="~/.ansible_async")
        status_name = f"edgellm-{secrets.token_hex(8)}.json"
        with interrupt.noted() as asked:
            started = self._start(shell.join_path(async_dir, status_name), task_vars)
            if results_file := started.get("results_file"):
                status_file = posixpath.join(posixpath.dirname(results_file), status_name)
                job = Job(started["ansible_job_id"], async_dir, status_file, results_file, tmpdir)
                done = self._attend(job, task_vars, asked)
                return {key: value for key, value in done.items() if key not in ASYNC_KEYS}
            asked.check()
        display.vv(f"{self.MODULE} cannot be watched, so it runs without progress: {started}")
        self._discard(tmpdir, sudoable=False)
        return self._module(task_vars)

    def _attend(self, job: Job, task_vars: Result, asked: interrupt.Interrupt) -> Result:
        """Wait for the end of the job, and leave nothing behind that can be reached."""
        alone = len(task_vars.get("ansible_play_batch", ())) <= 1
        shown = live.Shown(task_vars.get("inventory_hostname", ""), alone=alone)
        try:
            done = self._wait(job, task_vars, asked, shown)
        except AnsibleConnectionFailure as error:
            raise AnsibleConnectionFailure(GOES_ON) from error
        except BaseException:
            self._low_level_execute_command(STOP.format(file=shlex.quote(job.status_file)))
            self._clear(job)
            raise
        finally:
            shown.clear()
        self._clear(job)
        return done

    def _clear(self, job: Job) -> None:
        # The wrapper would remove its folder too, but some seconds after the end.
        self._discard(job.tmpdir, sudoable=False)
        self._discard(job.results_file, sudoable=True)
        self._discard(job.status_file, sudoable=True)

    def _start(self, status_file: str, task_vars: Result) -> Result:
        self._task.async_val = LIMIT_SECONDS
        try:
            return self._module(task_vars, wrap_async=True, status_file=status_file)
        finally:
            self._task.async_val = 0
            # Starting a job switches it off for all that follows.
            self._cleanup_remote_tmp = True

    def _wait(
        self, job: Job, task_vars: Result, asked: interrupt.Interrupt, shown: live.Shown
    ) -> Result:
        seen, lost, dead = "", 0, 0
        delay = 0.5
        while True:
            asked.sleep(delay)
            delay = min(2 * delay, POLL_SECONDS)
            try:
                said = self._read(job.status_file)
                # As long as the work moves nobody needs to ask whether it has ended.
                if said != seen:
                    seen, lost, dead = said, 0, 0
                    if self._tell(said, shown) < 1:
                        continue
                # Looked at first: what ends in between has left its result when that is asked for.
                dead = 0 if self._is_alive(seen) else dead + 1
                answer = self._ask(job, task_vars)
                lost = 0
            except AnsibleConnectionFailure:
                lost += 1
                if lost > LOST_POLLS:
                    raise
                continue
            if answer.get("finished") and _is_the_modules_own(answer):
                return answer
            if answer.get("finished") or dead > DEAD_POLLS:
                return {"failed": True, "msg": LOST, "job": answer}

    def _read(self, path: str) -> str:
        return str(self._low_level_execute_command(f"cat {shlex.quote(path)}")["stdout"])

    def _ask(self, job: Job, task_vars: Result) -> Result:
        answer: Result = self._execute_module(
            module_name="ansible.legacy.async_status",
            module_args={"jid": job.id, "mode": "status", "_async_dir": job.async_dir},
            task_vars=task_vars,
        )
        return answer

    def _is_alive(self, said: str) -> bool:
        status = progress.read(said)
        # Without a word yet it is only just starting.
        if status is None:
            return True
        return bool(self._low_level_execute_command(f"test -d /proc/{status.pid}")["rc"] == 0)

    def _tell(self, said: str, shown: live.Shown) -> float:
        status = progress.read(said)
        if status is None:
            return 0.0
        shown.tell(status)
        return status.share

    def _discard(self, path: str, *, sudoable: bool) -> None:
        if not constants.DEFAULT_KEEP_REMOTE_FILES:
            command = self._connection._shell.remove(path, recurse=True)
            self._low_level_execute_command(command, sudoable=sudoable)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays a plan with real servers, real processes and a real folder, and checks what must hold."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import multiprocessing
import multiprocessing.forkserver
import os
import random
import re
import signal
import sys
import threading
import time
import typing as t
import unittest.mock
import urllib.parse
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.download import (
    engine,
    journal,
    partial,
    source,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.spans import Spans

from tests.faults import plan as plans
from tests.faults import process
from tests.unit.file_server import Fault, FileServer

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

TOKEN = "hf_secret"
SIGNATURE = "hush"
NOBODY = "http://127.0.0.1:1"
# Long enough for a machine that does ten other things. Nothing is asserted about shorter times.
WATCHDOG = 60.0
# What httpx reads at once, before the lane reads by itself.
FIRST_READ = 65536
ESTABLISHED = "01"
WRONG = hashlib.sha256(b"something else").hexdigest()
KEPT = re.compile(r"x\.gguf\.[0-9a-f]{12}(\.[0-9a-f]{8})?\.part(\.json)?")
LEFT_BY_A_KILL = re.compile(KEPT.pattern + r"|.*\.part\.(note|lock|json\.new)|\.edgellm-\w+")
RECORDS = {"x.gguf", ".x.gguf.edgellm.json"}


class Broken(AssertionError):
    """Something that must hold does not."""


def processes() -> t.Any:
    """Where processes come from: each is a copy of one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.process"])
    with unittest.mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        multiprocessing.forkserver.ensure_running()
    return context


class Scene:
    """One plan while it is played."""

    def __init__(self, plan: plans.Plan, folder: Path, stack: contextlib.ExitStack) -> None:
        self.plan = plan
        self.chance = random.Random(plan.seed)
        self.folder = folder / "models"
        self.dest = self.folder / "x.gguf"
        self.log = folder / "engine.log"
        self.folder.mkdir()
        content = self.content()
        etag = '"one"' if plan.etag else None
        self.server = stack.enter_context(FileServer(content, etag=etag).running())
        self.bodies = self.server
        if plan.apart:
            self.bodies = stack.enter_context(FileServer(content, etag=etag).running("127.0.0.2"))
            self.server.cdn = self.bodies
        self.mirror = stack.enter_context(FileServer(content, etag='"mirror"').running("127.0.0.3"))
        if plan.mirror == "lying mirror":
            self.mirror.content = self.content()
        if plan.mirror == "other mirror":
            self.mirror.content = content[:-1]
        # Whose silence tells when to kill.
        self.pausing = self.bodies
        self.servers = tuple(dict.fromkeys((self.server, self.bodies, self.mirror)))
        for server in self.servers:
            server.states_sha256 = plan.stated
            server.ranges = plan.ranges
            server.honours_if_range = plan.conditional
        if plan.hub:
            self.server.token = TOKEN
        self.good = {hashlib.sha256(content).hexdigest()}
        self.results: list[process.Result] = []
        self._unread: dict[int, int] = {}
        self.received = 0
        self.allowed = plan.size
        self._prepare(content)

    def content(self) -> bytes:
        return b"GGUF" + self.chance.randbytes(self.plan.size - 4)

    def _prepare(self, content: bytes) -> None:
        before = {
            "": None,
            "old": self.content(),
            "begun": content[: self.plan.size // 3],
            "wrongly begun": self.content()[: self.plan.size // 2],
        }[self.plan.before]
        if before is not None:
            self.dest.write_bytes(before)
            self.good.add(hashlib.sha256(before).hexdigest())

    # --- the runs ----------------------------------------------------------------------------

    def play(self) -> None:
        for number, run in enumerate(self.plan.runs):
            is_last = number == len(self.plan.runs) - 1
            try:
                self._play(run, is_last=is_last)
            except AssertionError as error:
                raise Broken(f"Run {number} ({run}): {error}") from error
        self._check_bytes()
        self._check_secrets()

    def _play(self, run: plans.Run, *, is_last: bool) -> None:
        self._arrange(run)
        before = {server: len(server.seen) for server in self.servers}
        safe = self._safe()
        with _Watch(self.dest, self.good):
            results = self._call(self._task(run), run)
        seen = [one for server in self.servers for one in server.seen[before[server] :]]
        for result in results:
            assert result.found is None or result.found in self.good, "a wrong file has the name"
        last = results[-1] if results else None
        due = (run.kill is None) + (run.second is not None)
        assert len(results) >= due, f"it died: {self.log.read_text()}"
        self.results += results
        if run.stays == "full":
            assert len(results) == 2, f"it died: {self.log.read_text()}"
            self._check_full(results)
            return
        self._count(run, results, seen)
        self._check_waste(run, safe, seen)
        self._check_names(last)
        if last is None:
            return
        for result in results:
            self._check_end(run, result, is_last=is_last)

    def _check_end(self, run: plans.Run, result: process.Result, *, is_last: bool) -> None:
        if result.error:
            words = self._words(run)
            assert words, f"it must end well, but: {result.error}: {result.said}"
            assert not is_last
            assert re.search(words, result.said), f"{result.error}: {result.said}"
        else:
            self._check_file(run)

    def _arrange(self, run: plans.Run) -> None:
        for server in self.servers:
            server.faults.clear()
            server.claimed = None
        self.bodies.resumed.clear()
        self.mirror.resumed.clear()
        self.bodies.faults.extend(map(self._fault, run.mishaps))
        self.mirror.faults.extend(map(self._fault, run.of_mirror))
        for number, mishap in enumerate(run.of_hub):
            fault = self._fault(mishap)
            method = "HUB" if number else "HEAD"
            self.server.faults.append(dataclasses.replace(fault, method=method))
        if run.stays == "no room":
            for server in self.servers:
                server.claimed = 1 << 60
        if run.kill is not None:
            by_mirror = self.plan.mirror in ("honest mirror", "lying mirror")
            self.pausing = self.mirror if by_mirror else self.bodies
            self.pausing.pause_when(run.kill)

    def _task(self, run: plans.Run) -> process.Task:
        plan = self.plan
        base = NOBODY if run.stays == "gone" else self.server.url
        where: engine.Source = source.PlainUrl(f"{base}/plain/x.gguf?Signature={SIGNATURE}")
        if plan.hub:
            where = source.HubFile("n/r", "x.gguf", endpoint=f"{base}/hub")
        mirrors = ()
        if plan.mirror:
            base = NOBODY if plan.mirror == "absent mirror" else self.mirror.url
            mirrors = (source.PlainUrl(f"{base}/plain/x.gguf?Signature={SIGNATURE}"),)
        sha256 = WRONG if run.stays == "wrong hash" else self.server.sha256
        return process.Task(
            where,
            self.dest,
            mirrors,
            sha256=sha256 if plan.given else None,
            token=TOKEN if plan.hub and run.stays != "401" else None,
            lanes=plan.lanes,
            chunk=plan.chunk,
            # A busy machine is sometimes silent as well.
            retries=len(run.mishaps) + 8,
            obstacle=run.stays if run.stays in ("full", "frozen") else "",
            at=self.chance.randrange(plan.size),
        )

    def _fault(self, mishap: plans.Mishap) -> Fault:
        kind, after = mishap.kind, mishap.after
        if kind.isdecimal() and kind != "429":
            return Fault(status=int(kind))
        wish = {"Retry-After": "0"} if after % 2 else {"RateLimit": '"resolvers";r=0;t=0'}
        unsaid = {"Content-Length": None}
        if kind == plans.CHANGED:
            content = self.content()[: None if after % 2 else -1]
            self.good.add(hashlib.sha256(content).hexdigest())
            return Fault(turn=(content, '"two"'))
        return {
            "": Fault(),
            "cut": Fault(after=after, end="cut"),
            "reset": Fault(after=after, end="reset"),
            "stall": Fault(after=after, end="stall"),
            "mute": Fault(end="mute"),
            "away": Fault(end="away"),
            "whole": Fault(ignore_range=True),
            "other part": Fault(shift=-mishap.amount if after % 2 else mishap.amount),
            "other size": Fault(grown=mishap.amount),
            "429": Fault(status=429, headers=wish),
            "later": Fault(status=429, headers={"Retry-After": "700"}),
            "gzip": Fault(headers={"Content-Encoding": "gzip"}),
            "page": Fault(body=b"<html>", headers={"Content-Type": "text/html"}),
            "short": Fault(lack=mishap.amount),
            "short chunked": Fault(after=after, end="cut", chunked=True),
            "chunked": Fault(chunked=True),
            "long": Fault(surplus=bytes(mishap.amount), headers=unsaid if after % 2 else {}),
            "other etag": Fault(headers={"ETag": '"x"'}),
        }[kind]

    # --- processes ---------------------------------------------------------------------------

    def _call(self, task: process.Task, run: plans.Run) -> list[process.Result]:
        """What the process has to say, and then what the second one has."""
        with contextlib.ExitStack() as stack:
            calls = [stack.enter_context(self._process(task))]
            if run.second is not None:
                time.sleep(run.second)
                calls.append(stack.enter_context(self._process(task)))
            if run.kill is not None:
                self._kill(calls[0][0])
            return [result for child, ours in calls for result in self._results(child, ours)]

    @contextlib.contextmanager
    def _process(self, task: process.Task) -> Iterator[tuple[t.Any, Connection]]:
        context = processes()
        ours, theirs = context.Pipe()
        child = context.Process(target=process.main, args=(task, theirs, str(self.log)))
        child.start()
        theirs.close()
        try:
            yield child, ours
        finally:
            child.kill()
            child.join()
            child.close()
            ours.close()

    def _results(self, child: t.Any, ours: Connection) -> list[process.Result]:
        results, deadline = [], time.monotonic() + WATCHDOG
        while True:
            if not ours.poll(max(deadline - time.monotonic(), 0)):
                os.kill(child.pid, signal.SIGUSR1)
                time.sleep(1)
                raise Broken(f"it hangs: {self.log.read_text()}")
            try:
                results.append(ours.recv())
            except EOFError:
                return results

    def _kill(self, child: t.Any) -> None:
        """As soon as a body came so far. What was sent and not read by then is not received."""
        server = self.pausing
        while child.is_alive() and not server.paused.wait(0.01):
            pass
        time.sleep(self.chance.random() * 0.05)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGSTOP)
            self._unread = _unread()
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        server.pause_at = None
        server.resumed.set()

    # --- what must hold ----------------------------------------------------------------------

    def _words(self, run: plans.Run) -> str:
        """How an error may name what stays; nothing if there must be none."""
        if run.stays == plans.EXPIRED:
            return r"answers 403.*not given to this caller"
        if run.stays:
            return plans.STAYING[run.stays]
        if self.plan.kind == plans.CHANGED and self.plan.given:
            return r"SHA-256"
        return ""

    def _check_file(self, run: plans.Run) -> None:
        assert hashlib.sha256(self.dest.read_bytes()).hexdigest() in self.good
        if self.plan.kind != plans.CHANGED or not run.mishaps:
            assert self.dest.read_bytes() == self.bodies.content, "it is not the file of the source"

    def _check_full(self, results: list[process.Result]) -> None:
        first, second = results
        if first.error:
            assert re.search(plans.STAYING["full"], first.said), first.said
            # What the journal could not say any more, the note does.
            names = {name.removesuffix(".note") for name in first.names} - RECORDS
            left = [name for name in names if not KEPT.fullmatch(name)]
            assert not left, f"it leaves {left}"
        assert not second.error, f"with room again: {second.said}"
        assert second.found == self.bodies.sha256

    def _check_names(self, last: process.Result | None) -> None:
        names = {path.name for path in self.folder.iterdir()}
        if last and not last.error:
            assert names == RECORDS, names
            return
        left = KEPT if last else LEFT_BY_A_KILL
        odd = [name for name in names - RECORDS if not left.fullmatch(name)]
        assert not odd, f"it leaves {odd}"

    def _safe(self) -> Spans:
        """What can be relied on of the partial for what is wanted now."""
        spans = Spans()
        for part in partial.leftovers(self.dest):
            with contextlib.suppress(journal.Odd):
                entry = journal.read(part.with_name(f"{part.name}.json"))
                if entry and entry.identity.sha256 in (None, self.bodies.sha256):
                    spans = Spans(partial.peek(self.dest, entry.identity).ranges)
        return spans

    def _check_waste(self, run: plans.Run, safe: Spans, seen: list[t.Any]) -> None:
        """What was on disk is not asked for again, unless something spoke against it."""
        kinds = {mishap.kind for mishap in (*run.mishaps, *run.of_mirror)}
        doubt = plans.COSTLY | {"long"}
        if kinds & doubt or {self.plan.kind, run.stays, self.plan.mirror} & {
            *plans.COSTLY,
            *plans.FALSE,
        }:
            return
        if self.plan.before == "wrongly begun" or not self.plan.etag:
            return
        for one in seen:
            if one.method == "GET" and one.status in (200, 206):
                for first, end in safe.ranges:
                    twice = min(end, one.start + one.sent) - max(first, one.start)
                    assert twice <= 0, f"{twice} bytes that were on disk come again: {one}"

    def _count(self, run: plans.Run, results: list[process.Result], seen: list[t.Any]) -> None:
        got = [one for one in seen if one.method == "GET" and one.status in (200, 206)]
        hand = process.BUFFER + FIRST_READ
        # What a lane has read of a range that is somebody else's by then.
        self.allowed += sum(hand for one in got if one.sent < one.length)
        if run.kill is not None:
            # Who else fetched something in this run is not told apart.
            self.allowed += process.NOTE + self.plan.lanes * hand
        if results:
            fetched = sum(result.fetched for result in results)
            assert fetched <= sum(one.length for one in got)
            self.received += fetched
        else:
            self.received += sum(map(self._received, got))
        self.allowed += self._lost(run)

    def _received(self, one: t.Any) -> int:
        """How much of a body a process had when it was killed."""
        if one.sent < one.length and one.peer not in self._unread:
            # It had turned away from this one before.
            return 0
        if one.range and one.status == 200:
            # From this one as well, but the kernel had it all.
            return 0
        return max(one.sent - self._unread.get(one.peer, 0), 0)

    def _lost(self, run: plans.Run) -> int:
        """How much may have to come again because of what happened."""
        plan, kinds = self.plan, [mishap.kind for mishap in (*run.mishaps, *run.of_mirror)]
        chunk = plan.chunk if plan.lanes > 1 and plan.ranges else plan.size
        # Without a hash only what is durable counts, and without anything nothing.
        wholes = sum(kind in plans.COSTLY for kind in kinds) + (not plan.provable or not plan.etag)
        wholes += (plan.kind == "no ranges") * len(kinds)
        # Without hash, ETag, date and commit, nothing is continued in the same run either.
        wholes += (not plan.provable and not plan.etag and not plan.hub) * len(kinds)
        # Perhaps nothing but the hash of it all tells, and then all of the new one comes, perhaps
        # first behind the beginning of the old one.
        wholes += kinds.count(plans.CHANGED) * (1 + bool(plan.before))
        # A wrong whole is fetched twice if there was something that may be to blame.
        false = plan.mirror in plans.FALSE or run.stays == "wrong hash"
        wholes += false * (1 + bool(plan.before)) * (1 + bool(plan.mirror))
        wholes += plan.before == "wrongly begun"
        return wholes * plan.size + kinds.count("long") * chunk

    def _check_bytes(self) -> None:
        assert self.received <= self.allowed, f"{self.received} bytes, {self.allowed} allowed"

    def _check_secrets(self) -> None:
        written = [path.read_bytes() for path in self.folder.iterdir() if path != self.dest]
        said = [f"{result.said} {result.shown}" for result in self.results]
        queries = {one.query for server in self.servers for one in server.seen if one.query}
        secrets = {TOKEN, SIGNATURE, *(_signature(query) for query in queries)}
        for secret in secrets:
            assert not [text for text in written if secret.encode() in text], secret
            assert not [text for text in said if secret in text], secret
        for server in {self.bodies, self.mirror} - {self.server}:
            assert all("authorization" not in one.headers for one in server.seen)


class _Watch(threading.Thread):
    """Looks all the time what has the final name."""

    def __init__(self, dest: Path, good: set[str]) -> None:
        super().__init__(daemon=True)
        self._dest, self._good = dest, good
        self._over = threading.Event()
        self.wrong = ""

    def __enter__(self) -> _Watch:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self.join()
        assert not self.wrong, self.wrong

    def run(self) -> None:
        before = None
        while not self._over.wait(0.005):
            with contextlib.suppress(FileNotFoundError):
                found = self._dest.stat()
                now = (found.st_ino, found.st_size, found.st_mtime_ns)
                if now != before:
                    before = now
                    if hashlib.sha256(self._dest.read_bytes()).hexdigest() not in self._good:
                        self.wrong = "a wrong file had the final name for a moment"


def _signature(query: str) -> str:
    return urllib.parse.parse_qs(query).get("Signature", [query])[0]


def _unread() -> dict[int, int]:
    """How many bytes wait in the kernel to be read, by the port of whoever should."""
    waiting = {}
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        _number, local, _remote, state, queues, *_rest = line.split()
        if state == ESTABLISHED:
            waiting[int(local.rpartition(":")[2], 16)] = int(queues.rpartition(":")[2], 16)
    return waiting


def describe(plan: plans.Plan) -> str:
    """What a person needs to see of a plan."""
    fields = dataclasses.asdict(plan)
    return "\n".join(f"  {name}: {value}" for name, value in fields.items() if name != "runs") + (
        "".join(f"\n  run: {run}" for run in plan.runs)
    )

# SPDX-License-Identifier: GPL-3.0-or-later
"""Real playbooks over a local connection: what is shown, what is returned, what is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time

import pytest

from lab.origin.app import create_app as create_origin

LARGE = 20_000_000


class Throttle:
    """An ASGI application whose large bodies come slowly."""

    def __init__(self, app, bytes_per_second: float) -> None:
        self.app, self.rate, self.router = app, bytes_per_second, app.router

    async def __call__(self, scope, receive, send):
        async def slow_send(message):
            await asyncio.sleep(len(message.get("body", b"")) / self.rate)
            await send(message)

        await self.app(scope, receive, slow_send)


@pytest.fixture
def slow(served, registry):
    """The address of a registry that needs some seconds for a large model."""
    return lambda rate: served(Throttle(create_origin(registry.root.parent), rate), "slow")


@pytest.fixture
def play(play_task, ollama):
    """Run the module as one task of a playbook; its result and what was shown."""

    def play(*, check_mode=False, jobs=None, terminal=False, **params):
        params = {"url": ollama.url, **params}
        how = {"check_mode": check_mode, "jobs": jobs, "terminal": terminal}
        return play_task("ollama_model", params, **how)

    return play


def test_large_pull_shows_progress_and_returns_the_modules_own_result(
    play, ollama, registry, slow, run_module, left_behind
):
    digest = registry.offer("x", padding=LARGE)
    mirror = slow(1_500_000)
    result, shown = play(name="x", registry_mirror=mirror, terminal=True)
    assert result["changed"] is True
    assert "\rbox: x:latest  " in shown
    assert " MB of 20.0 MB (" in shown
    assert ollama.tags() == {"x:latest": digest}
    assert left_behind() == []
    ollama.delete("x")
    own = run_module("ollama_model", url=ollama.url, name="x", registry_mirror=registry.url)
    # What modules warned of earlier in this process stays with it.
    assert set(result) - {"failed"} == set(own) - {"invocation", "warnings"}
    assert result["diff"] == own["diff"]
    assert result["plan"]["bytes_fetch"] == own["plan"]["bytes_fetch"]
    assert result["model"] == {**own["model"], "modified_at": result["model"]["modified_at"]}


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_is_short_is_run_as_any_module(play, registry, traffic, tmp_path, check_mode):
    registry.offer("x")
    result, shown = play(name="x", registry_mirror=registry.url, check_mode=check_mode)
    assert result["changed"] is True
    assert "MB of" not in shown
    # The wrapper of asynchronous jobs would have made it.
    assert not (tmp_path / "jobs").exists()
    if check_mode:
        assert [seen.line for seen in traffic.requests if seen.mutates] == []


def test_model_that_is_there_costs_one_run(play, ollama, registry, traffic):
    registry.offer("x", padding=LARGE)
    ollama.pull("x", registry)
    traffic.clear()
    result, _shown = play(name="x", registry_mirror=registry.url)
    assert result["changed"] is False
    assert traffic.lines() == ["GET /api/tags"]


def test_model_that_is_there_is_remembered_and_then_costs_one_run(
    play, ollama, registry, traffic, tmp_path
):
    record = tmp_path / "record.json"
    digest = registry.offer("x")
    ollama.pull("x", registry)
    result, _shown = play(name="x", record=str(record))
    assert (result["changed"], result["recorded"]["digest"]) == (False, digest)
    assert json.loads(record.read_text())["digest"] == digest
    traffic.clear()
    play(name="x", record=str(record))
    assert traffic.lines() == ["GET /api/tags"]


def test_failure_of_a_large_pull_is_the_modules_own(play, registry, left_behind):
    registry.offer("x", padding=LARGE)
    damaged = registry.blob(next(iter(registry.layers("x"))))
    damaged.write_bytes(bytes(damaged.stat().st_size))
    result, _shown = play(name="x", registry_mirror=registry.url)
    assert result["failed"] is True
    assert "digest mismatch" in result["msg"]
    assert left_behind() == []


def test_where_jobs_are_impossible_the_module_runs_all_the_same(
    play, ollama, registry, tmp_path, left_behind
):
    digest = registry.offer("x", padding=LARGE)
    (tmp_path / "file").write_text("")
    result, _shown = play(name="x", registry_mirror=registry.url, jobs=tmp_path / "file" / "jobs")
    assert result["changed"] is True
    assert ollama.tags() == {"x:latest": digest}
    assert left_behind() == []


def test_work_that_is_killed_is_told(play, registry, slow, tmp_path, left_behind):
    registry.offer("x", padding=LARGE)
    mirror = slow(1_500_000)

    def kill():
        while not (status := next((tmp_path / "jobs").glob("edgellm-*"), None)):
            time.sleep(0.05)
        os.kill(json.loads(status.read_text())["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    result, _shown = play(name="x", registry_mirror=mirror)
    killer.join()
    assert result["failed"] is True
    assert "ended without a result" in result["msg"]
    assert left_behind() == []

# SPDX-License-Identifier: GPL-3.0-or-later
"""Which models are in memory: load on demand, keep alive, reload, unload."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import time
import typing as t
from pathlib import Path

from lab.ollama import gofmt, gpu, log
from lab.ollama.engine import Engine, Loaded, LoadRequest
from lab.ollama.errors import ApiError
from lab.ollama.model import Model
from lab.ollama.options import Options
from lab.ollama.settings import Settings

CPU_MAX_LOADED = 3
BUSY = "server busy, please try again.  maximum pending requests exceeded"


@dataclasses.dataclass(eq=False)
class Runner:
    """A loaded model, how it was loaded, and until when it stays."""

    model: Model
    loaded: Loaded
    load_options: dict[str, t.Any]
    context: int
    keep_alive: float
    users: int = 0
    used_at: float = dataclasses.field(default_factory=time.time)
    expires_at: float = 0.0
    timer: asyncio.TimerHandle | None = None
    held: gpu.Held = dataclasses.field(default_factory=gpu.Held)

    @property
    def size(self) -> int:
        """The memory the model takes: its file, and the key-value cache at 16 bits."""
        return self._weights_size() + self._cache_size()

    def _weights_size(self) -> int:
        weights = self.model.weights
        return weights.stat().st_size if weights and weights.exists() else 0

    def _cache_size(self) -> int:
        header = self.model.header
        if header is None:
            return 0
        heads = header.of_architecture("attention.head_count") or 1
        kv_heads = header.of_architecture("attention.head_count_kv") or heads
        width = header.of_architecture("embedding_length") or 0
        layers = header.of_architecture("block_count") or 0
        if not all(isinstance(number, int) for number in (heads, kv_heads, width, layers)):
            return 0
        return int(2 * 2 * layers * self.context * width * kv_heads // heads)


class Scheduler:
    """Runners by weights file: two models that share one GGUF share one runner, the first's."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self._runners: dict[Path, Runner] = {}
        self._changed = asyncio.Condition()
        self._pending = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def running(self) -> list[Runner]:
        """Return the loaded models, the one that stays longest first."""
        return sorted(self._runners.values(), key=lambda runner: runner.expires_at, reverse=True)

    @contextlib.asynccontextmanager
    async def use(
        self, model: Model, options: Options, keep_alive: float | None
    ) -> t.AsyncIterator[Runner]:
        """Give a runner for the model, loading it first if need be."""
        if self._pending >= self.settings.max_queue:
            raise ApiError(BUSY, 503)
        self._pending += 1
        try:
            runner = await self._acquire(model, options)
        finally:
            self._pending -= 1
        runner.keep_alive = self.settings.keep_alive if keep_alive is None else keep_alive
        _set_expiry(runner)
        try:
            yield runner
        finally:
            self._release(runner)

    def expire(self, model: Model) -> None:
        """Unload a model as soon as nobody uses it."""
        runner = self._runners.get(model.weights) if model.weights else None
        if runner is not None:
            runner.keep_alive = 0
            if runner.users == 0:
                self._schedule_expiry(runner)

    async def close(self) -> None:
        """Unload everything."""
        for task in list(self._tasks):
            task.cancel()
        for runner in list(self._runners.values()):
            await self._unload(runner)

    async def _acquire(self, model: Model, options: Options) -> Runner:
        if model.weights is None:
            raise ApiError("model has no weights")
        async with self._changed:
            while True:
                runner = self._runners.get(model.weights)
                if runner is not None and runner.load_options == options.load:
                    break
                victim = runner or self._over_limit()
                if victim is None:
                    runner = await self._load(model, options)
                    break
                if victim.users:
                    await self._changed.wait()
                else:
                    await self._unload(victim)
            runner.users += 1
            runner.used_at = time.time()
            if runner.timer:
                runner.timer.cancel()
            return runner

    def _over_limit(self) -> Runner | None:
        limit = self.settings.max_loaded_models or CPU_MAX_LOADED
        if len(self._runners) < limit:
            return None
        return min(self._runners.values(), key=lambda runner: (runner.users > 0, runner.used_at))

    async def _load(self, model: Model, options: Options) -> Runner:
        weights = t.cast(Path, model.weights)
        embedding = "embedding" in model.capabilities
        context = self._context(model, options)
        request = LoadRequest(
            weights=weights,
            adapters=model.adapters,
            context=context,
            parallel=1 if embedding else self.settings.num_parallel,
            batch=options.load["num_batch"],
            threads=options.load["num_thread"],
            use_mmap=options.load["use_mmap"],
            embedding=embedding,
        )
        began = time.monotonic()
        loaded = await asyncio.to_thread(self.engine.load, request)
        seconds = time.monotonic() - began
        log.info("model loaded", model=weights, num_ctx=context, seconds=f"{seconds:.2f}")
        runner = Runner(model, loaded, options.load, context, self.settings.keep_alive)
        # Settled for as long as it is loaded: a node that is denied later stays open here.
        runner.held = gpu.hold(runner.size)
        self._runners[weights] = runner
        return runner

    def _context(self, model: Model, options: Options) -> int:
        wanted = options.load["num_ctx"] or self.settings.default_context
        trained = model.header.of_architecture("context_length") if model.header else None
        return min(wanted, trained) if isinstance(trained, int) and trained > 0 else wanted

    def _release(self, runner: Runner) -> None:
        runner.users -= 1
        _set_expiry(runner)
        if runner.users == 0:
            self._schedule_expiry(runner)
        self._spawn(self._notify())

    def _schedule_expiry(self, runner: Runner) -> None:
        if runner.timer:
            runner.timer.cancel()
        if runner.keep_alive <= 0:
            self._spawn(self._unload_idle(runner))
        elif math.isfinite(runner.keep_alive):
            loop = asyncio.get_running_loop()
            runner.timer = loop.call_later(
                runner.keep_alive, lambda: self._spawn(self._unload_idle(runner))
            )

    def _spawn(self, work: t.Coroutine[t.Any, t.Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _unload_idle(self, runner: Runner) -> None:
        async with self._changed:
            still_there = self._runners.get(t.cast(Path, runner.model.weights)) is runner
            if still_there and runner.users == 0:
                await self._unload(runner)
                self._changed.notify_all()

    async def _unload(self, runner: Runner) -> None:
        self._runners.pop(t.cast(Path, runner.model.weights), None)
        if runner.timer:
            runner.timer.cancel()
        await asyncio.to_thread(runner.loaded.close)
        runner.held.release()


def _set_expiry(runner: Runner) -> None:
    runner.expires_at = (
        time.time() + runner.keep_alive if math.isfinite(runner.keep_alive) else gofmt.forever()
    )

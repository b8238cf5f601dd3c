# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/ps`: what is in memory, since when, for how long."""

from __future__ import annotations

import datetime as dt
import re
import typing as t

import pytest

from tests.contract.server import JsonObject, Server
from tests.contract.waiting import until


@pytest.fixture
def idle(server: Server, base: str) -> Server:
    """The server, with the base model out of memory."""
    server.done("generate", model=base, keep_alive=0)
    until(lambda: f"{base}:latest" not in server.running())
    return server


def entry(server: Server, model: str) -> JsonObject:
    return server.running()[f"{model}:latest"]


def test_an_empty_request_loads(idle: Server, base: str) -> None:
    answer = idle.done("generate", model=base)
    assert answer.headers["content-type"].startswith("application/json")
    loaded = answer.json()
    assert {key: loaded[key] for key in ("model", "response", "done", "done_reason")} == {
        "model": base,
        "response": "",
        "done": True,
        "done_reason": "load",
    }
    mine = entry(idle, base)
    assert mine["name"] == mine["model"] == f"{base}:latest"
    assert mine["digest"] == idle.digest(base)
    assert mine["size"] > 0
    assert mine["details"]["format"] == "gguf"


def test_on_a_machine_without_a_gpu_nothing_is_in_its_memory(idle: Server, base: str) -> None:
    idle.done("generate", model=base)
    assert entry(idle, base)["size_vram"] == 0


def test_the_context_is_the_models_parameter(idle: Server, base: str) -> None:
    idle.done("chat", model=base, messages=[])
    assert entry(idle, base)["context_length"] == 128


def test_another_context_loads_anew(idle: Server, base: str) -> None:
    idle.done("generate", model=base)
    idle.done("generate", model=base, options={"num_ctx": 64})
    assert entry(idle, base)["context_length"] == 64


def test_the_context_is_at_most_what_the_weights_were_made_for(
    server: Server, gguf: str, name: str
) -> None:
    server.create(name, files={"x.gguf": gguf}, template="x", parameters={"num_ctx": 100_000})
    server.done("generate", model=name)
    assert entry(server, name)["context_length"] == 256
    server.done("generate", model=name, keep_alive=0)


@pytest.mark.parametrize(
    ("keep_alive", "seconds"), [(600, 600), ("10m", 600), ("1h", 3600), (-1, 10**9)]
)
def test_how_long_it_stays(idle: Server, base: str, keep_alive: t.Any, seconds: int) -> None:
    idle.done("generate", model=base, keep_alive=keep_alive)
    until = dt.datetime.fromisoformat(re.sub(r"\.\d+", "", entry(idle, base)["expires_at"]))
    left = (until - dt.datetime.now(dt.timezone.utc)).total_seconds()
    if keep_alive == -1:
        assert left > seconds
    else:
        assert seconds - 30 < left <= seconds + 1


def test_unload(idle: Server, base: str) -> None:
    idle.done("generate", model=base)
    answer = idle.done("generate", model=base, keep_alive=0).json()
    assert (answer["done"], answer["done_reason"]) == (True, "unload")
    until(lambda: f"{base}:latest" not in idle.running())
    # What is not in memory can be unloaded all the same.
    assert idle.done("generate", model=base, keep_alive=0).json()["done_reason"] == "unload"


def test_models_of_one_file_share_their_place_and_the_first_gives_the_name(
    idle: Server, base: str, name: str
) -> None:
    idle.create(name, **{"from": base}, system="Another model.")
    both = {f"{base}:latest", f"{name}:latest"}
    for model in (base, name):
        idle.done("generate", model=model)
        assert both & set(idle.running()) == {f"{base}:latest"}
    # Other options load anew, under the name they were asked by.
    idle.done("generate", model=name, options={"num_ctx": 64})
    assert both & set(idle.running()) == {f"{name}:latest"}
    # Whoever of the two unloads, unloads the place.
    idle.done("generate", model=base, keep_alive=0)
    until(lambda: not both & set(idle.running()))


def test_a_deleted_model_stays_in_memory(idle: Server, base: str, name: str) -> None:
    idle.done("copy", source=base, destination=name)
    idle.done("generate", model=name)
    assert idle.delete(name).is_success
    assert f"{name}:latest" in idle.running()
    # By its twin: the name is gone.
    idle.done("generate", model=base, keep_alive=0)
    until(lambda: not {f"{name}:latest", f"{base}:latest"} & set(idle.running()))

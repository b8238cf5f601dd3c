# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.plugin_utils import progress


def status(done, total=1_000_000_000, rate=0, phase="fetching", writer=None):
    return progress.Status("x:7b", 1, phase, writer, done, total, rate)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (status(0), "box: x:7b  0 B of 1.0 GB (0%)"),
        (
            status(250_000_000, rate=10_000_000),
            "box: x:7b  250.0 MB of 1.0 GB (25%), 10.0 MB/s, 1 min 15 s left",
        ),
        (status(1_000_000_000, rate=1), "box: x:7b  1.0 GB of 1.0 GB (100%), being verified"),
        (status(2_000_000_000, rate=1), "box: x:7b  1.0 GB of 1.0 GB (100%), being verified"),
        (status(0, total=0), "box: x:7b  starting"),
        (
            status(250_000_000, rate=500_000_000, phase="copying"),
            "box: x:7b  copied 250.0 MB of 1.0 GB (25%), 500.0 MB/s, 2 s left",
        ),
        (status(1_000_000_000, phase="verifying"), "box: x:7b  checked 1.0 GB of 1.0 GB (100%)"),
        (
            status(250_000_000, phase="waiting", writer=77),
            "box: x:7b  another run has 250.0 MB of 1.0 GB (25%)",
        ),
    ],
)
def test_line_says_how_far_one_host_is(state, said):
    assert progress.line("box", state) == said


@pytest.mark.parametrize(
    ("columns", "name"),
    [(90, "Llama-3-ELYZA-JP-8B-q4_k_m.gguf"), (79, "Llama-3-EL…q4_k_m.gguf"), (20, "Lla…gguf")],
)
def test_name_makes_room_for_what_one_wants_to_know(columns, name):
    file = "Llama-3-ELYZA-JP-8B-q4_k_m.gguf"
    state = progress.Status(file, 1, "fetching", None, 1_230_000_000, 4_920_000_000, 25_000_000)
    said = f"gpu: {name}  1.2 GB of 4.9 GB (25%), 25.0 MB/s, 2 min 28 s left"
    assert progress.line("gpu", state, columns) == said


def test_name_says_nothing_to_the_terminal():
    state = progress.Status("x\x1b[2J", 1, "fetching", None, 0, 0, 0)
    assert progress.line("box", state) == "box: x[2J  starting"


def test_what_has_no_name_yet_is_starting():
    assert (
        progress.line("box", progress.Status("", 1, "starting", None, 0, 0, 0)) == "box: starting"
    )


def test_who_is_waited_for_can_be_stopped():
    said = progress.waits("box", status(0, phase="waiting", writer=77))
    assert said.startswith("box: x:7b is being fetched by process 77 already")
    assert said.endswith("kill 77")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "0 s"),
        (59.6, "1 min 0 s"),
        (119, "1 min 59 s"),
        (3600, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_duration_has_two_units(seconds, said):
    assert progress.duration(seconds) == said


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"more": 1}'])
def test_what_is_no_status_is_none(text):
    assert progress.read(text) is None


@pytest.mark.parametrize(
    ("looks", "said_at"),
    [
        # Work that ends fast: nothing.
        ([(1, 0.5), (4.9, 0.99)], []),
        # Fast work: a line for every tenth.
        ([(5, 0.1), (7, 0.15), (9, 0.2), (11, 0.25), (13, 0.31)], [5, 9, 13]),
        # Slow work: a line every ten seconds.
        ([(5, 0.01), (7, 0.011), (14, 0.02), (15, 0.021), (24, 0.03), (25, 0.03)], [5, 15, 25]),
    ],
)
def test_lines_come_every_ten_seconds_or_tenths(looks, said_at):
    pace = progress.Pace(started=0)
    assert [now for now, share in looks if pace.is_due(now, share)] == said_at

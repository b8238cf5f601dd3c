# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.plugin_utils import live, progress, text


def status(done, phase="fetching"):
    return progress.Status("x", 1, phase, 77, done, 1000, 0)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(live, "ON_TERMINAL", True)
    monkeypatch.setattr(live, "COLUMNS", 28)


def test_one_host_has_one_line_that_makes_room_in_the_end(terminal, capsys):
    shown = live.Shown("box", alone=True)
    shown.tell(status(100))
    shown.tell(status(0))
    shown.clear()
    shown.clear()
    assert capsys.readouterr().out == (
        # Not longer than the terminal is wide: then it would not be one line.
        "\rbox: x  100 B… 1.0 kB (10%)"
        # Nothing of a longer line stays.
        "\rbox: x  0 B of 1.0 kB (0%) "
        f"\r{' ' * 26}\r"
    )


def test_wide_characters_take_two_columns(terminal, capsys):
    shown = live.Shown("box", alone=True)
    shown.tell(progress.Status("日本語のモデル.gguf", 1, "fetching", None, 100, 1000, 0))
    shown.clear()
    line, blanks = capsys.readouterr().out.removeprefix("\r").removesuffix("\r").split("\r")
    assert text.width(line) == len(blanks) <= 27


def test_several_hosts_have_lines_at_a_bearable_pace(terminal, capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    shown = live.Shown("box", alone=False)
    for second in range(30):
        now[0] = float(second)
        shown.tell(status(second))
    shown.clear()
    assert capsys.readouterr().out.count("\n") == 3


def test_who_is_waited_for_is_told_once(terminal, capsys):
    shown = live.Shown("box", alone=True)
    shown.tell(status(1, "starting"))
    shown.tell(status(100, "waiting"))
    shown.tell(status(200, "waiting"))
    assert capsys.readouterr().out.count("fetched by process 77 already") == 1


def test_nothing_is_shown_where_nobody_looks(capsys):
    shown = live.Shown("box", alone=True)
    shown.tell(status(100))
    shown.clear()
    assert capsys.readouterr().out == ""

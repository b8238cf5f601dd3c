# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/demo and scripts/clean with stand-ins: the order of things, and what is said."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def stand_ins(sandbox):
    sandbox.tool("bootstrap", "", folder=sandbox.clone / "scripts")
    sandbox.tool(
        "python",
        f"""
case "$*" in
    '-m lab status --json') echo '{{"disk": {{"total": 1500000000}}}}' ;;
    '-m lab clean --json') echo '{{"bytes_given_back": 2000000000}}'; echo progress >&2 ;;
    'scripts/demo_cut.py tell') echo the story of the line ;;
    'scripts/demo_cut.py '*) ;;
    '-m lab '*) exit ${{LAB_FAILS:-0}} ;;
    *) exec {sys.executable} "$@" ;;
esac""",
    )
    sandbox.tool(
        "ansible-playbook", "echo the report >build/demo/report.txt; exit ${PLAY_FAILS:-0}"
    )


def steps(sandbox) -> list[str]:
    return [c for c in sandbox.calls() if c.startswith(("bootstrap", "python -m", "ansible-play"))]


@pytest.mark.usefixtures("stand_ins")
def test_demo_goes_in_order_and_ends_with_report_disk_and_what_is_next(sandbox):
    done = sandbox.run("bash", "scripts/demo")
    assert done.returncode == 0, done.stdout
    bootstrap, up, mark, play, status, record = steps(sandbox)
    assert bootstrap == "bootstrap controller"
    assert up == "python -m lab up --boxes box1"
    assert play.startswith("ansible-playbook -i inventory/lab.yml site.yml")
    assert (mark, status) == ("python -m lab record --mark", "python -m lab status --json")
    assert record.startswith("python -m lab record --since")
    _progress, _, ending = done.stdout.partition("==> Done in ")
    assert "the report\nthe story of the line" in ending
    assert "1.5 GB lab" in ending
    assert ending.rstrip().splitlines()[-1].startswith("  make clean")


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("failing", ["LAB_FAILS", "PLAY_FAILS"])
def test_demo_that_fails_shows_no_report_of_an_earlier_run(failing, sandbox):
    sandbox.run("bash", "scripts/demo")
    sandbox.environment[failing] = "2"
    done = sandbox.run("bash", "scripts/demo")
    assert done.returncode == 2
    assert "the report" not in done.stdout


@pytest.mark.usefixtures("stand_ins")
def test_clean_removes_what_was_made_and_says_how_much_that_was(sandbox):
    for name in (".venv", "build/logs"):
        (sandbox.clone / name).mkdir(parents=True)
    (sandbox.clone / "kept").touch()
    done = sandbox.run("sh", "scripts/clean")
    assert done.returncode == 0, done.stdout
    assert "2.0 GB of disk given back" in done.stdout
    assert sorted(p.name for p in sandbox.clone.iterdir()) == ["kept", "scripts"]


@pytest.mark.usefixtures("stand_ins")
def test_clean_keeps_the_tools_while_the_lab_cannot_be_removed(sandbox):
    (sandbox.clone / ".venv").mkdir()
    sandbox.tool("python", "exit 1")
    assert sandbox.run("sh", "scripts/clean").returncode == 1
    assert (sandbox.clone / ".venv").exists()

# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/here with stand-ins: the plan comes first, and nothing runs unasked."""

from __future__ import annotations

import os
import pty

import pytest


@pytest.fixture
def here(sandbox, as_user):
    sandbox.tool("bootstrap", "", folder=sandbox.clone / "scripts")
    plan = 'echo "the plan" >build/here/report.txt; exit ${PLAN_FAILS:-0}'
    read_password = 'for a; do case $a in /dev/fd/*) cat "$a" >>build/here/passwords ;; esac; done'
    sandbox.tool("ansible-playbook", f'{read_password}; case "$*" in *--check*) {plan} ;; esac')
    as_user(0)

    def run(**options):
        return sandbox.run("bash", "scripts/here", **options)

    return run


@pytest.fixture
def terminal():
    """Answer the question at a pseudo-terminal."""
    opened = []

    def answer(text: str) -> int:
        leader, follower = pty.openpty()
        opened.extend((leader, follower))
        os.write(leader, f"{text}\n".encode())
        return follower

    yield answer
    for descriptor in opened:
        os.close(descriptor)


def plays(sandbox) -> list[str]:
    """The playbook runs, in order: plan or run."""
    calls = [call for call in sandbox.calls() if call.startswith("ansible-playbook")]
    assert all("-i inventory/here.yml site.yml" in call for call in calls)
    return ["plan" if "--check" in call else "run" for call in calls]


def test_without_a_terminal_shows_the_plan_and_refuses(here, sandbox):
    done = here()
    assert done.returncode == 1
    assert "the plan" in done.stdout
    assert "EDGELLM_YES=1" in done.stdout
    assert plays(sandbox) == ["plan"]


def test_yes_from_the_environment_goes_on(here, sandbox):
    sandbox.environment["EDGELLM_YES"] = "1"
    assert here().returncode == 0
    assert plays(sandbox) == ["plan", "run"]


@pytest.mark.parametrize("text", ["y", "Y", "yes"])
def test_yes_at_the_terminal_goes_on(text, here, sandbox, terminal):
    assert here(stdin=terminal(text)).returncode == 0
    assert plays(sandbox) == ["plan", "run"]


@pytest.mark.parametrize("text", ["", "n", "maybe"])
def test_anything_else_changes_nothing(text, here, sandbox, terminal):
    done = here(stdin=terminal(text))
    assert done.returncode == 1
    assert "Nothing was changed." in done.stdout
    assert plays(sandbox) == ["plan"]


def test_failed_plan_changes_nothing_even_when_told_yes(here, sandbox):
    sandbox.environment |= {"EDGELLM_YES": "1", "PLAN_FAILS": "2"}
    done = here()
    assert done.returncode == 1
    assert "cannot be provisioned" in done.stdout
    assert plays(sandbox) == ["plan"]


def test_user_without_sudo_rights_types_the_password_once(here, sandbox, as_user, terminal):
    as_user(1000)
    sandbox.tool("sudo", "exit 1")
    assert here(stdin=terminal("secret\ny")).returncode == 0
    assert plays(sandbox) == ["plan", "run"]
    passwords = (sandbox.clone / "build" / "here" / "passwords").read_text(encoding="utf-8")
    assert passwords == "secret\n" * 2
    assert not any("secret" in call for call in sandbox.calls())


def test_user_with_passwordless_sudo_is_not_asked(here, sandbox, as_user):
    as_user(1000)
    sandbox.tool("sudo", "")
    sandbox.environment["EDGELLM_YES"] = "1"
    assert here().returncode == 0
    assert not any("--become-password-file" in call for call in sandbox.calls())


def test_password_needed_without_a_terminal_is_refused_before_the_plan(here, sandbox, as_user):
    as_user(1000)
    sandbox.tool("sudo", "exit 1")
    done = here()
    assert done.returncode == 1
    assert "sudo password" in done.stdout
    assert plays(sandbox) == []

# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/bootstrap with stand-ins for Python: which it takes, when it installs, what it says."""

from __future__ import annotations

import pytest


def python_body(sandbox, version: str) -> str:
    """A Python as far as the script asks; `-m venv` puts a copy of it into the folder."""
    recent = tuple(int(part) for part in version.split(".")) >= (3, 11)
    major_minor = version.rpartition(".")[0]
    return f"""
case "$*" in
    *_base_executable*) echo {sandbox.bin}/python-{version} ;;
    *'"python%d.%d-venv"'*) echo python{major_minor}-venv ;;
    *'%d.%d.%d'*) echo {version} ;;
    *'(3, 11)'*) exit {0 if recent else 1} ;;
    *'import ensurepip'*) [ -e {sandbox.bin}/venv-{version} ] ;;
    *check_clone.py*) exit ${{CLONE_IS_BAD:-0}} ;;
    '-m venv .venv') mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    '-m pip install '*) exit ${{PIP_FAILS:-0}} ;;
esac"""


@pytest.fixture
def add_python(sandbox):
    def add(name: str, version: str, *, venv: bool = True) -> None:
        body = python_body(sandbox, version)
        sandbox.tool(name, body)
        sandbox.tool(f"python-{version}", body)
        if venv:
            (sandbox.bin / f"venv-{version}").touch()

    return add


@pytest.fixture
def clone(sandbox):
    locks = sandbox.clone / "requirements"
    locks.mkdir()
    (locks / "controller.txt").write_text("ansible==1\n")
    (locks / "dev.txt").write_text("ansible==1\npytest==1\n")
    return sandbox.clone


def installs(calls: list[str]) -> list[str]:
    return [call.split()[-1] for call in calls if "-m pip install" in call]


def venvs(calls: list[str]) -> list[str]:
    return [call.split()[0] for call in calls if "-m venv" in call]


def bootstrap(sandbox, *arguments: str):
    return sandbox.run("sh", "scripts/bootstrap", *arguments)


@pytest.mark.usefixtures("clone")
def test_first_run_installs_and_second_is_silent(sandbox, add_python):
    add_python("python3", "3.12.1")
    done = bootstrap(sandbox)
    calls = sandbox.calls()
    assert done.returncode == 0, done.stdout
    assert installs(calls) == ["requirements/controller.txt"]
    assert venvs(calls) == ["python-3.12.1"]
    (pip,) = [call for call in calls if "-m pip install" in call]
    assert "--require-hashes" in pip

    done = bootstrap(sandbox)
    calls = sandbox.calls()
    assert (done.returncode, done.stdout) == (0, "")
    assert installs(calls) == venvs(calls) == []
    assert any("check_clone.py" in call for call in calls)


def test_changed_lock_is_installed_into_the_same_environment(sandbox, add_python, clone):
    add_python("python3", "3.12.1")
    bootstrap(sandbox)
    (clone / "requirements" / "controller.txt").write_text("ansible==2\n")
    sandbox.calls()
    assert bootstrap(sandbox).returncode == 0
    calls = sandbox.calls()
    assert installs(calls) == ["requirements/controller.txt"]
    assert venvs(calls) == []


@pytest.mark.usefixtures("clone")
def test_dev_serves_the_controller_too(sandbox, add_python):
    add_python("python3", "3.12.1")
    assert bootstrap(sandbox, "dev").returncode == 0
    assert installs(sandbox.calls()) == ["requirements/dev.txt"]
    assert bootstrap(sandbox, "controller").returncode == 0
    assert installs(sandbox.calls()) == []


def test_failed_installation_is_started_anew(sandbox, add_python, clone):
    add_python("python3", "3.12.1")
    sandbox.environment["PIP_FAILS"] = "1"
    done = bootstrap(sandbox)
    assert done.returncode == 1
    assert "run the same command again" in done.stdout
    sandbox.calls()

    sandbox.environment["PIP_FAILS"] = "0"
    (clone / ".venv" / "half").touch()
    done = bootstrap(sandbox)
    assert done.returncode == 0
    assert "interrupted" in done.stdout
    assert len(venvs(sandbox.calls())) == 1
    assert not (clone / ".venv" / "half").exists()


def test_folder_that_was_moved_gets_a_new_environment(sandbox, add_python, clone):
    add_python("python3", "3.12.1")
    bootstrap(sandbox)
    (clone / ".venv" / "installed" / "at").write_text("/elsewhere\n")
    sandbox.calls()
    done = bootstrap(sandbox)
    assert "was moved" in done.stdout
    assert len(venvs(sandbox.calls())) == 1


def test_environment_whose_python_is_gone_is_made_anew(sandbox, add_python, clone):
    add_python("python3", "3.12.1")
    bootstrap(sandbox)
    (clone / ".venv" / "bin" / "python").unlink()
    sandbox.calls()
    assert bootstrap(sandbox).returncode == 0
    assert len(venvs(sandbox.calls())) == 1


@pytest.mark.usefixtures("clone")
def test_newer_python_is_found_beside_an_old_python3(sandbox, add_python):
    add_python("python3", "3.9.2")
    add_python("python3.11", "3.11.4")
    assert bootstrap(sandbox).returncode == 0
    assert venvs(sandbox.calls()) == ["python-3.11.4"]


@pytest.mark.usefixtures("clone")
def test_named_python_wins(sandbox, add_python):
    add_python("python3", "3.12.1")
    add_python("my-python", "3.13.0")
    sandbox.environment["PYTHON"] = "my-python"
    assert bootstrap(sandbox).returncode == 0
    assert venvs(sandbox.calls()) == ["python-3.13.0"]


def test_old_python_gets_one_sentence(sandbox, add_python, clone):
    add_python("python3", "3.9.2")
    done = bootstrap(sandbox)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert "needs Python 3.11 or newer on this machine, but python3 is 3.9.2" in done.stdout
    assert not (clone / ".venv").exists()


@pytest.mark.usefixtures("clone")
def test_no_python_at_all_gets_one_sentence(sandbox):
    done = bootstrap(sandbox)
    assert done.returncode == 1
    assert "but python3 does not run" in done.stdout


@pytest.mark.usefixtures("clone")
def test_missing_venv_module_is_installed_by_root_on_debian(sandbox, add_python, as_user):
    add_python("python3", "3.13.5", venv=False)
    sandbox.tool("apt-get", f": >{sandbox.bin}/venv-3.13.5")
    as_user(0)
    done = bootstrap(sandbox)
    assert done.returncode == 0, done.stdout
    assert "Installing python3.13-venv" in done.stdout
    assert any(c.startswith("apt-get install") and "python3.13-venv" in c for c in sandbox.calls())


def test_missing_venv_module_prints_the_command_to_others(sandbox, add_python, as_user, clone):
    add_python("python3", "3.13.5", venv=False)
    sandbox.tool("apt-get", "exit 1")
    as_user(1000)
    done = bootstrap(sandbox)
    assert done.returncode == 1
    assert "sudo apt-get install python3.13-venv" in done.stdout
    assert not any(call.startswith("apt-get") for call in sandbox.calls())
    assert not (clone / ".venv").exists()


def test_bad_clone_stops_before_anything_is_made(sandbox, add_python, clone):
    add_python("python3", "3.12.1")
    sandbox.environment["CLONE_IS_BAD"] = "1"
    assert bootstrap(sandbox).returncode == 1
    assert not (clone / ".venv").exists()


def test_unknown_set_is_refused(sandbox):
    done = bootstrap(sandbox, "other")
    assert done.returncode == 1
    assert "the sets are controller and dev" in done.stdout

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import units


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    (folder / "here.service").write_text("[Service]\n")
    (folder / "alias.service").symlink_to("/usr/lib/systemd/system/other.service")
    (folder / "masked.service").symlink_to("/dev/null")
    return tmp_path


def test_running_systemd_is_asked_once_for_all(root):
    (root / "run/systemd/system").mkdir(parents=True)
    asked = []

    def run(command):
        asked.append(command)
        return "LoadState=loaded\nActiveState=active\n\nLoadState=not-found\nActiveState=inactive\n"

    assert units.states(["docker.service", "ollama.service"], str(root), run) == {
        "docker.service": {"load": "loaded", "active": "active"},
        "ollama.service": {"load": "not-found", "active": "inactive"},
    }
    assert len(asked) == 1
    assert asked[0][-3:] == ["--", "docker.service", "ollama.service"]


@pytest.mark.parametrize(
    ("unit", "load"),
    [
        ("here.service", "loaded"),
        ("here", "loaded"),
        ("alias.service", "loaded"),
        ("masked.service", "masked"),
        ("gone.service", "not-found"),
        ("here.socket", "not-found"),
    ],
)
def test_unit_files_are_looked_at_where_systemd_does_not_run(root, unit, load):
    assert not units.systemd_runs(str(root))
    assert units.states([unit], str(root)) == {unit: {"load": load, "active": "inactive"}}


def test_nobody_is_asked_about_nothing(root):
    (root / "run/systemd/system").mkdir(parents=True)
    assert units.states([], str(root), lambda _command: pytest.fail("asked")) == {}

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import os_release

DEBIAN = """\
PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
VERSION_ID="13"
VERSION_CODENAME=trixie
ID=debian
"""
MINT = """\
# made by hand
ID='linuxmint'
VERSION_ID="22"
UBUNTU_CODENAME=noble
PRETTY_NAME="It\\"s \\\\ fine"
broken line
UNBALANCED="quote
"""


def tree(tmp_path, **files):
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_release", "-release")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path)


def test_system_is_read(tmp_path):
    assert os_release.read(tree(tmp_path, etc__os_release=DEBIAN)) == {
        "id": "debian",
        "version_id": "13",
        "codename": "trixie",
        "pretty_name": "Debian GNU/Linux 13 (trixie)",
    }


def test_file_of_the_distribution_is_read_when_etc_has_none(tmp_path):
    assert os_release.read(tree(tmp_path, usr__lib__os_release=DEBIAN))["id"] == "debian"


def test_quotes_and_odd_lines_do_no_harm(tmp_path):
    said = os_release.read(tree(tmp_path, etc__os_release=MINT))
    assert said["id"] == "linuxmint"
    assert said["codename"] == "noble"
    assert said["pretty_name"] == 'It"s \\ fine'


def test_system_without_the_file_says_nothing(tmp_path):
    assert set(os_release.read(str(tmp_path)).values()) == {""}


def test_memory_is_told_in_bytes(tmp_path):
    root = tree(tmp_path, proc__meminfo="MemTotal:  2048 kB\nMemFree:  1 kB\n")
    assert os_release.memory_bytes(root) == 2048 * 1024


@pytest.mark.parametrize(
    ("kernel", "wsl"),
    [
        ("5.15.167.4-microsoft-standard-WSL2", True),
        ("4.4.0-19041-Microsoft", True),
        ("6.12", False),
    ],
)
def test_wsl_is_known_by_its_kernel(tmp_path, kernel, wsl):
    assert os_release.is_wsl(tree(tmp_path, proc__sys__kernel__osrelease=kernel)) is wsl

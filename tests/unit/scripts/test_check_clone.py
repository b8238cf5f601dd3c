# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts.check_clone import LINK, Mount, is_windows_drive, parse_mounts, problem

ROOT_MOUNT = Mount("/", "ext4", "rw,relatime")
WSL2_DRIVE = Mount("/mnt/c", "9p", "rw,aname=drvfs;path=C:\\;uid=1000")
SOURCE = "https://example.org/host.git"


@pytest.fixture
def clone(tmp_path):
    root = tmp_path / "clone"
    (root / LINK).parent.mkdir(parents=True)
    (root / LINK).symlink_to("../../..")
    (root / ".git").mkdir()
    root.chmod(0o755)
    return root


def test_parse_mounts_reads_spaces_in_paths():
    (mount,) = parse_mounts("dev /a\\040b ext4 rw 0 0\n")
    assert mount == Mount("/a b", "ext4", "rw")


@pytest.mark.parametrize(
    ("path", "mounts", "expected"),
    [
        ("/home/u/host", [ROOT_MOUNT, WSL2_DRIVE], False),
        ("/mnt/c/Users/u/host", [ROOT_MOUNT, WSL2_DRIVE], True),
        ("/mnt/c/Users/u/host", [ROOT_MOUNT, Mount("/mnt/c", "drvfs", "rw")], True),
        ("/mnt/d/host", [ROOT_MOUNT, Mount("/mnt/d", "virtiofs", "rw")], True),
        # automount.root of wsl.conf may be any folder
        ("/c/host", [ROOT_MOUNT, WSL2_DRIVE._replace(point="/c")], True),
        # a data disk on Linux, and a shared folder of a virtual machine
        ("/mnt/c/host", [ROOT_MOUNT, Mount("/mnt/c", "ext4", "rw")], False),
        ("/mnt/share/host", [ROOT_MOUNT, Mount("/mnt/share", "9p", "rw")], False),
        # a Linux file system mounted inside the Windows drive; a folder that only begins alike
        ("/mnt/c/l/host", [ROOT_MOUNT, WSL2_DRIVE, Mount("/mnt/c/l", "ext4", "rw")], False),
        ("/mnt/call/host", [ROOT_MOUNT, WSL2_DRIVE], False),
        ("/host", [], False),
    ],
)
def test_windows_drive_is_recognised(path, mounts, expected):
    assert is_windows_drive(Path(path), mounts) is expected


def test_good_clone_has_no_problem(clone):
    assert problem(clone, [ROOT_MOUNT], SOURCE) is None


def test_clone_on_windows_drive_names_the_line_to_type(clone):
    mounts = [ROOT_MOUNT, WSL2_DRIVE._replace(point=str(clone.parent))]
    found = problem(clone, mounts, SOURCE)
    assert f"git clone {SOURCE} ~/clone && cd ~/clone" in found


def last_line(found: str) -> str:
    return found.splitlines()[-1].strip()


def test_world_writable_clone_is_mended_by_the_line(clone):
    clone.chmod(0o777)
    found = problem(clone, [ROOT_MOUNT], SOURCE)
    assert "ignores its ansible.cfg" in found
    subprocess.run(last_line(found), shell=True, check=True)
    assert problem(clone, [ROOT_MOUNT], SOURCE) is None


def break_as_text_file(link: Path) -> None:
    link.write_text("../../..")


def break_as_directory(link: Path) -> None:
    link.mkdir()


def break_as_other_link(link: Path) -> None:
    link.symlink_to("/nowhere")


def break_as_absent(link: Path) -> None:
    assert not link.exists()


BREAKS = [break_as_text_file, break_as_directory, break_as_other_link, break_as_absent]


@pytest.mark.parametrize("breaks", BREAKS)
def test_broken_link_outside_git_is_mended_by_the_line(breaks, clone):
    (clone / ".git").rmdir()
    (clone / LINK).unlink()
    breaks(clone / LINK)
    found = problem(clone, [ROOT_MOUNT], SOURCE)
    assert "should be a link" in found
    subprocess.run(last_line(found), shell=True, check=True)
    assert problem(clone, [ROOT_MOUNT], SOURCE) is None


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_link_checked_out_as_text_is_mended_by_the_line(clone, tmp_path):
    (clone / ".git").rmdir()
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "-m", "all")
    other = tmp_path / "other"
    git(tmp_path, "clone", "--quiet", "-c", "core.symlinks=false", str(clone), str(other))
    other.chmod(0o755)
    assert (other / LINK).is_file()
    found = problem(other, [ROOT_MOUNT], SOURCE)
    assert "should be a link" in found
    subprocess.run(last_line(found), shell=True, check=True, capture_output=True)
    assert problem(other, [ROOT_MOUNT], SOURCE) is None

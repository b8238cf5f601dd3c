# SPDX-License-Identifier: GPL-3.0-or-later
"""Who needs how much room on which disk.

The mounts are composed after microsoft/WSL#14301 (9p and virtiofs) and
lamyj/wsl-path-converter#4 (drvfs of WSL1, 9p of WSL2).
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import engine, errors, partial
from ansible_collections.edgellm.host.plugins.module_utils.download.room import (
    Disk,
    Drive,
    Need,
    Room,
    drive_below,
    lacks,
    needs,
    refuse,
    windows_drives,
)

MODELS, STORE, OTHER = Path("/srv/models"), Path("/srv/store"), Path("/mnt/c/store")
DEST = MODELS / "x.gguf"
NINE = (
    "C:\\134 /mnt/c 9p rw,noatime,aname=drvfs;path=C:\\;uid=1000;gid=1000;symlinkroot=/mnt/,"
    "cache=5,access=client,msize=65536,trans=fd,rfd=6,wfd=6 0 0\n"
)
ROOT = "/dev/sdc / ext4 rw,relatime,discard,errors=remount-ro,data=ordered 0 0\n"
DRIVERS = "drivers /usr/lib/wsl/drivers 9p ro,noatime,aname=drivers;fmask=222;dmask=222 0 0\n"


def said(size, rooms, disks, drive=None, *, missing=None):
    missing = size if missing is None else missing
    found = lacks(needs(DEST, missing, size, rooms), disks, drive)
    return [(lack.place, lack.free, lack.needed) for lack in found]


def disks(models, store, *, same):
    return {
        str(MODELS): Disk(1, models, MODELS),
        str(STORE): Disk(1 if same else 2, store, STORE),
        str(OTHER): Disk(3, store, OTHER),
    }


@pytest.mark.parametrize(
    ("rooms", "same", "free", "lacking"),
    [
        ([], True, (100, 100), []),
        ([], True, (99, 99), [(str(MODELS), 99, 100)]),
        # A link costs nothing on the same disk, and a copy on another one.
        ([Room(STORE, 0)], True, (100, 100), []),
        ([Room(STORE, 0)], False, (100, 99), [(str(STORE), 99, 100)]),
        ([Room(STORE, 0)], False, (100, 100), []),
        # Two needs on one disk add up, on two they do not.
        ([Room(STORE, 1)], True, (199, 199), [(str(MODELS), 199, 200)]),
        ([Room(STORE, 1)], False, (100, 100), []),
        ([Room(STORE, 2)], True, (300, 300), []),
        ([Room(STORE, 2)], False, (99, 199), [(str(MODELS), 99, 100), (str(STORE), 199, 200)]),
    ],
)
def test_needs_add_up_by_disk(rooms, same, free, lacking):
    assert said(100, rooms, disks(*free, same=same)) == lacking


def test_what_is_there_already_needs_no_room_but_its_import_does():
    found = said(100, [Room(STORE, 1)], disks(120, 120, same=True), missing=20)
    assert found == []
    found = said(100, [Room(STORE, 1)], disks(119, 119, same=True), missing=20)
    assert found == [(str(MODELS), 119, 120)]


@pytest.mark.parametrize(
    ("rooms", "free", "lacking"),
    [
        ([], 100, []),
        ([], 99, [("The Windows drive C:", 99, 100)]),
        ([Room(STORE, 2)], 299, [("The Windows drive C:", 299, 300)]),
        ([Room(STORE, 0)], 100, []),
        # What lies on the drive itself counts there with what lies on the disk that grows on it.
        ([Room(OTHER, 1)], 199, [("The Windows drive C:", 199, 200)]),
    ],
)
def test_drive_below_needs_the_room_too(rooms, free, lacking):
    drive = Drive(Disk(3, free, Path("/mnt/c")), "C", above=1)
    assert said(100, rooms, disks(10_000, 10_000, same=True), drive) == lacking


def test_disk_that_is_not_on_the_drive_does_not_count_there():
    drive = Drive(Disk(3, 0, Path("/mnt/c")), "C", above=7)
    assert said(100, [Room(STORE, 2)], disks(300, 300, same=True), drive) == []


def test_message_names_every_place_and_purpose():
    found = lacks(needs(DEST, 60, 100, [Room(STORE, 2)]), disks(50, 50, same=True))
    assert str(found[0]) == (
        "/srv/models has 50 bytes free, and 260 more are needed: 60 for the file, 200 for its "
        "import into /srv/store."
    )
    parts = (Need(str(MODELS), 60), Need(str(MODELS), 70))
    (lack,) = lacks(parts, disks(50, 50, same=True))
    assert str(lack).endswith("and 130 more are needed for the file.")


@pytest.mark.parametrize(
    ("mounts", "drives"),
    [
        (ROOT + NINE + DRIVERS, {"C": "/mnt/c"}),
        (NINE.replace("C:", "d:").replace("/mnt/c", "/d"), {"D": "/d"}),
        (NINE.replace("C:\\134", "drvfs"), {"C": "/mnt/c"}),
        ("C: /mnt/c drvfs rw,noatime,uid=1000,gid=1000,case=off 0 0\n", {"C": "/mnt/c"}),
        ("drvfsC0 /mnt/c virtiofs rw,noatime 0 0\n", {"C": "/mnt/c"}),
        ("share /mnt/share virtiofs rw 0 0\n" + DRIVERS + ROOT + "odd\n", {}),
        (NINE + NINE.replace("/mnt/c", "/mnt/a\\040b"), {"C": "/mnt/c"}),
    ],
)
def test_drives_of_windows_are_found(mounts, drives):
    assert windows_drives(mounts) == drives


@pytest.fixture
def wsl(tmp_path):
    """A host in WSL2 with these drives, and the number of its disk."""

    def wsl(*letters, kernel="6.6.114.1-microsoft-standard-WSL2"):
        root = tmp_path / "root"
        shutil.rmtree(root, ignore_errors=True)
        (root / "proc/sys/kernel").mkdir(parents=True)
        (root / "proc/sys/kernel/osrelease").write_text(f"{kernel}\n")
        mounts = [ROOT]
        for letter in letters:
            (root / "mnt" / letter.lower()).mkdir(parents=True)
            line = NINE.replace("C:", f"{letter}:")
            mounts.append(line.replace("/mnt/c", f"/mnt/{letter.lower()}"))
        (root / "proc/mounts").write_text("".join(mounts))
        return root

    return wsl


@pytest.mark.parametrize(
    ("letters", "found"), [("C", "C"), ("CDE", "C"), ("D", "D"), ("DE", None), ("", None)]
)
def test_drive_is_the_first_or_the_only_one(wsl, letters, found):
    drive = drive_below(str(wsl(*letters)))
    assert (drive.letter if drive else None) == found


def test_other_machines_have_no_drive_below(wsl):
    assert drive_below(str(wsl("C", kernel="6.12.57+deb13-amd64"))) is None


def test_full_windows_drive_is_refused_with_what_to_do(wsl, tmp_path, monkeypatch):
    root = wsl("C")
    monkeypatch.setattr(partial, "free_bytes", lambda path: 10 if "mnt" in path.parts else 1000)
    refuse([Need(str(tmp_path / "not/yet"), 10)], str(root))
    with pytest.raises(errors.DownloadError) as caught:
        refuse([Need(str(tmp_path / "not/yet"), 11)], str(root))
    message = str(caught.value)
    assert message.startswith("The Windows drive C: has 10 bytes free, and 11 more are needed")
    for words in ("Nothing was fetched", "is assumed", "wsl --shutdown", "compact vdisk", "--move"):
        assert words in message
    assert caught.value.details == {"bytes_free": 10, "bytes_needed": 11}


# --- before the first byte -----------------------------------------------------------------------


@pytest.fixture
def ensure(hub, dest, monkeypatch):
    """Have the file there with so many bytes free everywhere, and room for its import."""

    def ensure(free, *rooms, **how):
        monkeypatch.setattr(partial, "free_bytes", lambda _path: free)
        wanted = engine.Wanted(hub(), dest, engine.record.place(dest), room=rooms)
        return engine.ensure(wanted, engine.Manner(timeout=5, **how))

    return ensure


@pytest.mark.parametrize("check_mode", [True, False])
def test_import_without_room_is_refused_before_the_first_byte(
    ensure, server, folder, content, check_mode
):
    store = folder.parent / "store"
    with pytest.raises(errors.DownloadError, match=f"for its import into {store}.*import_store"):
        ensure(3 * len(content) - 1, Room(store, 2), check_mode=check_mode)
    assert (server.sent, list(folder.iterdir())) == (0, [])
    ensure(3 * len(content), Room(store, 2))


def test_file_that_is_there_needs_no_room(ensure, content, folder):
    ensure(len(content))
    assert ensure(0, Room(folder, 2)).changed is False


def test_link_on_the_same_disk_needs_no_room(ensure, content, folder):
    assert ensure(len(content), Room(folder, 0)).changed is True


def test_room_that_is_needed_is_told(ensure, content, folder, dest):
    outcome = ensure(10 * len(content), Room(folder, 2), check_mode=True)
    assert [need.size for need in outcome.needs] == [len(content), 2 * len(content)]
    assert dataclasses.replace(outcome, needs=()) == outcome

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.edgellm.host.plugins.module_utils.ollama.progress import Progress

ONE, TWO = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def blob(digest: str, total: int, completed: int) -> dict[str, object]:
    line = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total}
    # The server leaves out what is zero.
    return {**line, "completed": completed} if completed else line


def test_bytes_and_rate_are_reckoned_over_all_blobs():
    clock = Clock()
    progress = Progress(150, clock=clock)
    for line in (
        {"status": "pulling manifest"},
        blob(ONE, 100, 0),
        blob(ONE, 100, 60),
        blob(ONE, 100, 100),
        blob(TWO, 50, 0),
        blob(TWO, 50, 20),
    ):
        progress.feed(line)
    clock.now += 10
    assert (progress.done, progress.rate) == (120, 12.0)


def test_blob_that_was_there_is_not_counted():
    progress = Progress(50)
    progress.feed(blob(ONE, 100, 100))
    progress.feed(blob(TWO, 50, 30))
    assert progress.done == 30


def test_resumed_blob_counts_from_zero():
    progress = Progress(100)
    progress.feed(blob(ONE, 100, 70))
    assert progress.done == 70


def test_silence_of_the_download_counts_though_lines_arrive():
    clock = Clock()
    progress = Progress(100, clock=clock)
    for second in range(5):
        clock.now = 100.0 + second
        progress.feed(blob(ONE, 100, 40))
    assert progress.stalled_for == 4
    progress.feed(blob(ONE, 100, 41))
    assert progress.stalled_for == 0


def test_hashing_is_no_stall():
    clock = Clock()
    progress = Progress(100, clock=clock)
    progress.feed(blob(ONE, 100, 100))
    progress.feed({"status": "verifying sha256 digest"})
    clock.now += 1000
    assert progress.stalled_for == 0

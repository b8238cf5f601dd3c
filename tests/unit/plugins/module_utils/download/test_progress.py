# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.edgellm.host.plugins.module_utils.download.progress import Progress


def test_what_was_there_already_does_not_make_the_line_fast():
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    assert (progress.phase, progress.rate) == ("starting", 0)
    progress.enter("fetching", None)
    progress.feed(done=850, total=1000, fetched=0)
    now[0] = 10.0
    progress.feed(done=900, total=1000, fetched=50)
    assert (progress.done, progress.total, progress.rate) == (900, 1000, 5.0)


def test_every_kind_of_work_has_its_own_speed():
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    progress.enter("copying", None)
    progress.feed(0, 1000, 0)
    now[0] = 1.0
    progress.feed(500, 1000, 0)
    assert progress.rate == 500
    progress.enter("waiting", 77)
    assert (progress.rate, progress.writer) == (0, 77)
    progress.feed(700, 1000, 0)
    now[0] = 3.0
    progress.feed(720, 1000, 0)
    assert progress.rate == 10

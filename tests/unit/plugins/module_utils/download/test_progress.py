# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.edgellm.host.plugins.module_utils.download.progress import Progress


def test_what_was_there_before_makes_nothing_faster():
    now = [100.0]
    progress = Progress(clock=lambda: now[0])
    assert progress.rate == 0
    now[0] += 10
    progress.feed(done=900, total=1000, fetched=50)
    assert (progress.done, progress.total, progress.rate) == (900, 1000, 5.0)

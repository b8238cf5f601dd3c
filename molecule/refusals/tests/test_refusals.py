# SPDX-License-Identifier: GPL-3.0-or-later
"""After all the refusals nothing has changed on the box."""

from __future__ import annotations

import pytest

testinfra_hosts = ["ansible://box2"]


@pytest.mark.parametrize("path", ["/srv/edgellm", "/etc/docker/daemon.json", "/etc/edgellm.json"])
def test_nothing_was_left(host, path):
    assert not host.file(path).exists

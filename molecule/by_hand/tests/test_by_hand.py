# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages for operators say to type works, and shows what they say."""

from __future__ import annotations

import pytest

from tests.unit.docs.lab_names import LAB_NAMES
from tests.unit.docs.pages import DOCS, commands

testinfra_hosts = ["ansible://box2"]

NO_NETWORK = "edgellm down && docker network rm edge"
#: What is broken before a command is typed, so that a remedy has something to mend.
BROKEN = {
    "docker network create edge": NO_NETWORK,
    "docker network inspect edge > /dev/null || docker network create edge": NO_NETWORK,
    "systemctl start docker": "systemctl stop docker.socket docker",
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["operations.md", "troubleshooting.md"])
def test_every_command_of_the_page(host, name):
    """In the order of the page: what one command makes, the next one uses."""
    for command in commands(DOCS / name):
        if command.not_run:
            continue
        if command.text in BROKEN:
            host.check_output(BROKEN[command.text])
        typed = command.renamed(LAB_NAMES)
        done = host.run("timeout 120 bash -c %s", typed.text)
        output = done.stdout + done.stderr
        seen = f"docs/{name}:{command.line}\n$ {typed.text}\n{output}"
        assert done.rc == 0, f"{seen}\nended with {done.rc}"
        assert typed.missing(output) == [], seen


def test_what_is_broken_is_mended_by_a_page():
    typed = [c.text for page in DOCS.glob("*.md") for c in commands(page) if not c.not_run]
    assert [text for text in BROKEN if text not in typed] == []

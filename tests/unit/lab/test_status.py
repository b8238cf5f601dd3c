# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from lab import build, docker, status
from lab.status import parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0B", 0),
        ("132.1kB", 132_100),
        ("206MB", 206_000_000),
        ("1.07GB", 1_070_000_000),
        ("741MB (virtual 936MB)", 741_000_000),
        ("N/A", 0),
    ],
)
def test_the_engines_sizes_become_bytes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


def test_an_image_counts_with_what_it_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"debian": 100, "python": 170, "cloudflared": 45}
    tags = {build.tag(name): name for name in sizes}

    def answer(*args: str) -> str:
        return "\n".join(str(sizes[tags[name]]) for name in args if name in tags)

    monkeypatch.setattr(docker, "images", lambda: tags)
    monkeypatch.setattr(docker, "docker", answer)
    added = {tags[image["name"]]: image["bytes"] for image in status._images()}
    # Nothing of its parent is in an image that was put together from nothing.
    assert added == {"debian": 100, "python": 70, "cloudflared": 45}

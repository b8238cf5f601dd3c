# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from lab.errors import LabError
from lab.mirror import DEFAULTS, Reference, pinned


@pytest.mark.parametrize(
    ("line", "repository", "tag"),
    [
        ("ollama_server_image: docker.io/ollama/ollama:0.32.15", "ollama/ollama", "0.32.15"),
        ('ollama_server_image: "ollama/ollama:0.32.15"  # pinned', "ollama/ollama", "0.32.15"),
        ("ollama_server_image: ollama:1", "library/ollama", "1"),
        (f"ollama_server_image: ollama/ollama:1@sha256:{'a' * 64}", "ollama/ollama", "1"),
    ],
)
def test_the_image_is_read_from_the_roles_defaults(line: str, repository: str, tag: str) -> None:
    assert pinned(f"---\n# comment\nother: 1\n{line}\nmore: 2\n") == Reference(repository, tag)


@pytest.mark.parametrize(
    "text",
    [
        "---\nother: 1\n",
        "ollama_server_image: ollama/ollama\n",
        "ollama_server_image: '{{ registry }}/ollama:1'\n",
        "ollama_server_image: ghcr.io/ollama/ollama:1\n",
        "ollama_server_image: ghcr.io:443/ollama/ollama:1\n",
    ],
)
def test_anything_else_is_refused_naming_file_and_variable(text: str) -> None:
    with pytest.raises(LabError, match=r"defaults/main.yml: ollama_server_image"):
        pinned(text)


def test_the_repositorys_own_defaults_can_be_read() -> None:
    assert pinned(DEFAULTS.read_text()).repository == "ollama/ollama"

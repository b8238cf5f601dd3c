# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from lab.cloudflared.version import VERSION
from lab.errors import LabError
from lab.mirror import CLOUDFLARED, OLLAMA, Offer, Reference, pinned


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
    assert pinned(OLLAMA, f"---\n# comment\nother: 1\n{line}\nmore: 2\n") == Reference(
        repository, tag
    )


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
        pinned(OLLAMA, text)


@pytest.mark.parametrize(
    ("offer", "repository"),
    [(OLLAMA, "ollama/ollama"), (CLOUDFLARED, "cloudflare/cloudflared")],
)
def test_the_repositorys_own_defaults_can_be_read(offer: Offer, repository: str) -> None:
    assert pinned(offer, offer.defaults.read_text()).repository == repository


def test_the_stand_in_claims_the_version_that_the_role_pulls() -> None:
    wanted = pinned(CLOUDFLARED, CLOUDFLARED.defaults.read_text())
    assert VERSION.partition("+")[0] == wanted.tag


def test_each_role_has_its_own_variable() -> None:
    text = (
        "cloudflared_image: docker.io/cloudflare/cloudflared:2026.8.2\nollama_server_image: a:1\n"
    )
    assert pinned(CLOUDFLARED, text) == Reference("cloudflare/cloudflared", "2026.8.2")
    assert CLOUDFLARED.defaults.parts[-4:] == ("roles", "cloudflared", "defaults", "main.yml")

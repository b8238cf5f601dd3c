# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module that runs on a managed host, on Debian 12."""

from __future__ import annotations

import json

import pytest

testinfra_hosts = ["ansible://bookworm"]

URL = "http://198.18.77.6:11434"


@pytest.fixture
def module(host):
    """Run a module for real: `module("ollama_probe", name=...)`."""

    def run(name: str, /, **options):
        arguments = json.dumps(options)
        return host.ansible(f"edgellm.host.{name}", arguments, check=False, become=False)

    return run


def test_libraries_are_as_old_as_they_get(host):
    assert host.check_output("python3 -c 'import httpx; print(httpx.__version__)'").startswith(
        "0.23"
    )
    assert host.package("python3").version.startswith("3.11")


def test_both_models_are_there_under_their_public_names(module):
    models = module("ollama_model_info", url=URL)["models"]
    assert sorted(model["name"] for model in models) == ["smollm2-embed:135m", "smollm2:135m"]


def test_chat_and_embedding_are_chosen_by_capability(module):
    chat = module("ollama_probe", name="smollm2:135m", url=URL)["probe"]
    assert chat["kind"] == "chat"
    assert chat["tokens_per_second"] > 0
    embed = module("ollama_probe", name="smollm2-embed:135m", url=URL)["probe"]
    assert embed["kind"] == "embed"
    assert embed["dimensions"] == 576


def test_model_that_the_registry_lacks_is_refused_with_its_name(module):
    mirror = "http://198.18.77.2"
    result = module("ollama_model", name="no-such-model:1b", url=URL, registry_mirror=mirror)
    assert "no-such-model:1b" in result["msg"]


def test_registry_and_image_are_read_from_here_too(module):
    mirror = "http://198.18.77.2"
    (model,) = module("ollama_registry_info", names=["smollm2:135m"], registry_mirror=mirror)[
        "models"
    ]
    assert model["size"] > 98_000_000
    image = module(
        "oci_image_info", image="docker.io/ollama/ollama:0.32.15", mirror="http://198.18.77.4:5000"
    )
    assert image["digest"].startswith("sha256:")


def test_host_is_read(module):
    found = module("host_info", packages=["python3-httpx"], paths=["/srv/edgellm"])["host"]
    assert found["os"]["version_id"] == "12"
    assert found["systemd"]
    assert found["packages"]["python3-httpx"]
    assert not found["docker"]["running"]

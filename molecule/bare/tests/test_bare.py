# SPDX-License-Identifier: GPL-3.0-or-later
"""After `site.yml --check` on a bare box: nothing was installed, and the plan is exact."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

testinfra_hosts = ["ansible://box1"]

ORIGIN = "http://198.18.77.2"


@pytest.fixture(scope="module")
def plan() -> list[dict]:
    report = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "report.json")
    (host,) = json.loads(report.read_text(encoding="utf-8"))["hosts"].values()
    return host["plan"]


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/docker",
        "/etc/docker",
        "/srv/edgellm",
        "/usr/local/bin/edgellm",
        "/etc/edgellm.json",
    ],
)
def test_box_is_still_bare(host, path):
    assert not host.file(path).exists


@pytest.mark.parametrize("package", ["docker-ce", "docker.io", "python3-httpx", "python3-apt"])
def test_no_package_was_installed(host, package):
    assert not host.package(package).is_installed


def test_python_has_nothing_extra(host):
    assert host.check_output("python3 -c 'import httpx' 2>&1 || echo absent").endswith("absent")


def test_plan_names_every_step(plan):
    assert [step["what"] for step in plan] == [
        "Python libraries",
        "Docker Engine",
        "Docker network",
        "Container image",
        "Container",
        "Model",
    ]


def test_plan_has_the_models_exact_bytes(plan):
    manifest = httpx.get(f"{ORIGIN}/v2/library/smollm2/manifests/135m").json()
    size = manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])
    (model,) = (step for step in plan if step["what"] == "Model")
    assert model["bytes"] == size


def test_plan_has_the_images_exact_bytes(plan):
    (image,) = (step for step in plan if step["what"] == "Container image")
    registry = "http://198.18.77.4:5000/v2/ollama/ollama"
    types = "application/vnd.docker.distribution.manifest.v2+json"
    tag = image["detail"].rsplit(":", 1)[1]
    manifest = httpx.get(f"{registry}/manifests/{tag}", headers={"Accept": types}).json()
    size = manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])
    assert image["bytes"] == size

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from tests.unit.fake_images import Images


@pytest.mark.parametrize("check_mode", [True, False])
def test_image_is_told_with_digest_and_size(run_module, served, check_mode):
    images = Images()
    platform = images.image("arm64", 1000)
    digest = images.index({"linux/arm64": platform}, tag="0.32.15")
    result = run_module(
        "oci_image_info",
        image="ollama/ollama:0.32.15",
        mirror=served(images.app),
        architecture="aarch64",
        check_mode=check_mode,
    )
    assert not result["changed"]
    assert {key: result[key] for key in ("digest", "platform_digest", "size", "architecture")} == {
        "digest": digest,
        "platform_digest": platform,
        "size": 1007,
        "architecture": "arm64",
    }


def test_missing_image_fails_in_one_sentence(run_module, served):
    result = run_module(
        "oci_image_info", image="ollama/ollama:9", mirror=served(Images().app), fails=True
    )
    assert "has no image docker.io/ollama/ollama:9 (404)" in result["msg"]


def test_mirror_is_not_asked_for_other_registries(run_module, served, traffic):
    result = run_module(
        "oci_image_info",
        image="registry.invalid/a/b",
        mirror=served(Images().app),
        timeout=2,
        fails=True,
    )
    assert "https://registry.invalid does not answer" in result["msg"]
    assert traffic.lines() == []

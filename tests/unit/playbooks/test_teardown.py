# SPDX-License-Identifier: GPL-3.0-or-later
"""What teardown.yml takes away does not go on."""

from __future__ import annotations

from pathlib import Path

import yaml

TEARDOWN = Path(__file__).resolve().parents[3] / "playbooks/teardown.yml"
SERVICE = "ansible.builtin.systemd_service"


def test_unit_is_stopped_before_its_file_goes():
    (play,) = yaml.safe_load(TEARDOWN.read_text())
    forgotten = [
        task[SERVICE] for task in play["tasks"] if task.get(SERVICE, {}).get("enabled") is False
    ]
    assert [service["name"] for service in forgotten] == ["edgellm-revive.service"]
    assert {service.get("state") for service in forgotten} == {"stopped"}

# SPDX-License-Identifier: GPL-3.0-or-later
"""What reaches the journal from the timer's service."""

from __future__ import annotations

import configparser
from pathlib import Path

ROLE = Path(__file__).resolve().parents[3] / "roles/verify"
LEVELS = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]


def test_traceback_is_not_filtered_out():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read(ROLE / "templates/edgellm-verify.service.j2")
    service = unit["Service"]
    # Python exits with it after a traceback, too.
    assert service["SuccessExitStatus"] == "1"
    # systemd's own level for lines that name none is info.
    said = LEVELS.index(service.get("SyslogLevel", "info"))
    assert said <= LEVELS.index(service["LogLevelMax"])
    assert said <= LEVELS.index("err")

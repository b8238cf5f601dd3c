# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from tests.unit.fake_nvidia import FakeNvidia


@pytest.fixture
def nvidia(tmp_path):
    """A host without anything of NVIDIA's."""
    return FakeNvidia(tmp_path)

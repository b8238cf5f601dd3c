# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters as a template sees them; what they say is in test_deployed.py."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.edgellm.host.plugins.filter.models import FilterModule

FILTERS = FilterModule().filters()
SPEC = {
    "name": "bge-m3",
    "folder": None,
    "source": {"registry": "bge-m3", "gguf": None, "from": None},
    "lock": None,
}


def test_models_to_move_keeps_the_order():
    other = {**SPEC, "name": "x"}
    assert FILTERS["models_to_move"]([other, SPEC], "bge-m3,x") == [other, SPEC]
    assert FILTERS["models_to_move"]([other, SPEC], ["bge-m3"]) == [SPEC]


def test_models_unknown_tells_what_was_misspelt():
    assert FILTERS["models_unknown"]([SPEC], "bge-m3,bge-m4") == ["bge-m4"]


def test_models_notes_and_entries_of_nothing_are_nothing():
    assert FILTERS["models_notes"]([], []) == []
    assert FILTERS["models_lock_entries"]([], probes=[]) == []


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("models_notes", ([{"nothing": 1}],), "results of the modules over specs"),
        ("models_lock_entries", ([1],), "results of the modules over specs"),
        ("models_to_move", ([SPEC], "bad name"), "Invalid model name"),
    ],
)
def test_what_is_not_understood_is_said_by_name(name, values, said):
    with pytest.raises(AnsibleFilterError, match=said) as raised:
        FILTERS[name](*values)
    assert f"edgellm.host.{name}: " in str(raised.value)

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import cdi_text

from tests.unit.fake_nvidia import data

UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"
FRESH = data("cdi-ordered.txt")
DIFFERS = "differs from what nvidia-ctk writes now"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "cdi-ordered.txt",
            cdi_text.Offer(
                kind="nvidia.com/gpu",
                version="0.5.0",
                devices=("0", UUID, "all"),
                nodes={
                    "/dev/nvidia-uvm": (510, 0),
                    "/dev/nvidiactl": (195, 255),
                    "/dev/nvidia0": (195, 0),
                },
                driver="550.163.01",
            ),
        ),
        (
            "cdi-sorted.txt",
            cdi_text.Offer(
                kind="nvidia.com/gpu", version="0.5.0", devices=("0", "all"), driver="545.29.06"
            ),
        ),
        (
            "cdi-json.txt",
            cdi_text.Offer(
                kind="nvidia.com/gpu",
                version="0.5.0",
                devices=(UUID, "all"),
                nodes={"/dev/nvidiactl": (195, 255), "/dev/nvidia0": (195, 0)},
                driver="550.163.01",
            ),
        ),
        (
            "cdi-wsl2.txt",
            cdi_text.Offer(
                kind="nvidia.com/gpu",
                version="0.5.0",
                devices=("all",),
                nodes={"/dev/dxg": (10, 125)},
            ),
        ),
    ],
)
def test_forms_that_nvidia_writes_are_read(name, told):
    assert cdi_text.parse(data(name)) == told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "nonsense",
        "- a\n- b: c\n  d\n",
        "{",
        "[1]",
        '{"devices": "no list", "containerEdits": 3}',
        "devices:\n  - name: {flow: style}\n      deeper: x\n",
        "{" * 100000,
        "devices:\n- containerEdits:\n    deviceNodes:\n    - path: /dev/x\n      major: many\n",
    ],
)
def test_no_text_is_too_odd(text):
    assert cdi_text.parse(text).nodes == {}
    assert cdi_text.differences(text, FRESH) != []


def test_kind_of_a_text_in_another_form_is_found_all_the_same():
    text = "# by hand\nkind: 'nvidia.com/gpu'  # ours\ndevices: [{name: all}]\nmore: >\n  folded\n"
    offer = cdi_text.parse(text)
    assert (offer.kind, offer.devices) == ("nvidia.com/gpu", ())


@pytest.mark.parametrize("present", [FRESH, FRESH.rstrip("\n"), FRESH + "\n"])
def test_newline_at_the_end_is_no_difference(present):
    assert cdi_text.differences(present, FRESH) == []


@pytest.mark.parametrize(
    ("edit", "reasons"),
    [
        ((UUID, "GPU-gone"), ["lists GPU-gone, which is not there", f"lacks {UUID}"]),
        (("name: all", "name: every"), ["lists every, which is not there", "lacks all"]),
        (
            ("550.163.01", "535.216.01"),
            ["was made for driver 535.216.01, now it is 550.163.01"],
        ),
        (
            ("major: 510", "major: 511"),
            ["/dev/nvidia-uvm has major number 511 in the file and 510 on the host"],
        ),
        (
            ("minor: 255", "minor: 254"),
            ["/dev/nvidiactl has minor number 254 in the file and 255 on the host"],
        ),
        (
            ("cdiVersion: 0.5.0", "cdiVersion: 0.7.0"),
            ["has CDI version 0.7.0, nvidia-ctk now writes 0.5.0"],
        ),
        (("DEBUG=false", "DEBUG=true"), ["differs from what nvidia-ctk writes now"]),
    ],
)
def test_difference_is_named(edit, reasons):
    assert cdi_text.differences(FRESH.replace(*edit), FRESH) == reasons


NODE = """        - path: /dev/nvidia-modeset
          major: 195
          minor: 254
          permissions: rwm
"""
MOUNT = """        - hostPath: /run/nvidia-persistenced/socket
          containerPath: /run/nvidia-persistenced/socket
          options:
            - ro
"""


def with_late(text, node=NODE, mount=MOUNT):
    """The specification once persistenced and a display run, too."""
    return (
        text.replace(
            "        - path: /dev/nvidia-uvm\n", f"{node}        - path: /dev/nvidia-uvm\n"
        )
        + mount
    )


def test_what_starts_later_at_boot_makes_no_file_stale():
    assert cdi_text.differences(FRESH, with_late(FRESH)) == []
    assert cdi_text.differences(with_late(FRESH, mount=""), with_late(FRESH)) == []


def test_what_is_in_the_file_and_gone_makes_it_stale():
    assert cdi_text.differences(with_late(FRESH), FRESH) == [DIFFERS]


@pytest.mark.parametrize("path", ["/dev/nvidia-uvm-tools", "/dev/nvidia-caps/nvidia-cap1"])
def test_other_node_that_comes_late_makes_the_file_stale(path):
    fresh = with_late(FRESH, node=NODE.replace("/dev/nvidia-modeset", path))
    assert cdi_text.differences(FRESH, fresh) == [DIFFERS]


def test_other_difference_counts_beside_what_comes_late():
    present = FRESH.replace("DEBUG=false", "DEBUG=true")
    assert cdi_text.differences(present, with_late(FRESH)) == [DIFFERS]


def test_number_of_a_gpu_is_not_told_beside_its_name():
    fewer = FRESH.replace('name: "0"', 'name: "1"').replace(UUID, "GPU-other")
    assert cdi_text.differences(fewer, FRESH) == [
        "lists GPU-other, which is not there",
        f"lacks {UUID}",
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (FRESH, FRESH),
        (FRESH + FRESH.replace("nvidia.com/gpu", "nvidia.com/gpu.coherent"), FRESH),
        (data("cdi-json.txt"), data("cdi-json.txt")),
        (data("cdi-json.txt") + data("cdi-json.txt"), data("cdi-json.txt")),
        ("{broken", "{broken"),
    ],
)
def test_first_of_several_specifications_is_taken(text, first):
    assert cdi_text.first_document(text) == first

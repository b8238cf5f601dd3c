# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import programs


@pytest.fixture
def script(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return write


def test_both_outputs_and_the_status_are_told(script):
    program = script('echo "said $1"; echo complained >&2; exit 9')
    assert programs.run([program, "a b"], {}) == programs.Answer(9, "said a b\n", "complained\n")


def test_environment_of_the_user_does_not_reach_it(script, monkeypatch):
    monkeypatch.setenv("NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", "/elsewhere")
    said = programs.run([script("env")], {"MINE": "1"}).out.splitlines()
    assert {line for line in said if line.startswith(("NVIDIA", "MINE", "LC_ALL"))} == {
        "MINE=1",
        "LC_ALL=C",
    }


def test_one_that_hangs_is_given_up(script):
    began = time.monotonic()
    assert programs.run([script("exec sleep 60")], {}, 0.2) == programs.Answer(None)
    assert time.monotonic() - began < 10


def test_one_that_cannot_be_started_says_why(tmp_path):
    answer = programs.run([str(tmp_path / "gone")], {})
    assert answer.returncode == 126
    assert answer.err == f"{tmp_path / 'gone'}: No such file or directory"


def test_output_that_is_not_text_is_read_all_the_same(script):
    assert "a" in programs.run([script(r"printf 'a\377'")], {}).out


def test_first_place_with_a_program_counts(tmp_path):
    for place in ("usr/bin/x", "usr/sbin/x", "usr/local/bin/x"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("")
    (tmp_path / "usr/sbin/x").chmod(0o755)
    (tmp_path / "usr/local/bin/x").chmod(0o755)
    places = ("usr/bin/x", "usr/sbin/x", "usr/local/bin/x")
    assert programs.find(places, str(tmp_path)) == str(tmp_path / "usr/sbin/x")
    assert programs.find(("usr/bin/x", "sbin/x"), str(tmp_path)) is None

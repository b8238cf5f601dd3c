# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from ansible_collections.edgellm.host.plugins.module_utils import atomic
from ansible_collections.edgellm.host.plugins.module_utils.atomic import write_json


def test_file_is_replaced_with_its_mode(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")
    path.chmod(0o600)
    write_json(str(path), {"b": "日本語", "a": 1})
    assert path.read_text(encoding="utf-8") == '{\n  "a": 1,\n  "b": "日本語"\n}\n'
    assert path.stat().st_mode & 0o777 == 0o644


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    write_json(str(path), "old")
    with pytest.raises(TypeError):
        write_json(str(path), object())
    assert json.loads(path.read_text()) == "old"
    assert list(tmp_path.iterdir()) == [path]


DIES = """
import os, sys, pathlib
from ansible_collections.edgellm.host.plugins.module_utils.atomic import write_json
pathlib.Path.replace = lambda *_: os._exit(1)
write_json(sys.argv[1], "new")
"""


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path, root):
    path = tmp_path / "x.json"
    env = {**os.environ, "PYTHONPATH": str(root / "collections")}
    subprocess.run([sys.executable, "-c", DIES, str(path)], env=env, check=False)
    (left,) = tmp_path.iterdir()
    assert left != path
    write_json(str(path), "new")
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_living_writer_is_writing_stays(tmp_path):
    handle, staged = atomic._staged(tmp_path)
    write_json(str(tmp_path / "x.json"), "new")
    assert staged.exists()
    os.close(handle)
    write_json(str(tmp_path / "x.json"), "new")
    assert not staged.exists()

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import shutil

import pytest
from ansible_collections.edgellm.host.plugins.module_utils import daemon_file
from ansible_collections.edgellm.host.plugins.module_utils.daemon_file import (
    DaemonFile,
    configure,
)
from ansible_collections.edgellm.host.plugins.module_utils.engine_service import EngineService
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused


class Engine(EngineService):
    """An engine that restarts, or is cut off in the middle of it."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__("docker", 1)
        self.cut = cut
        self.restarts = 0

    def is_running(self) -> bool:
        return True

    def restart(self) -> None:
        if self.cut:
            raise KeyboardInterrupt
        self.restarts += 1

    def dependants(self) -> list[str]:
        return []


@pytest.fixture
def file(tmp_path):
    return DaemonFile(
        str(tmp_path / "etc/daemon.json"),
        str(tmp_path / "state/record.json"),
        staging=str(tmp_path),
        move=shutil.move,
    )


def apply(file, engine, wanted, section="me", *, check_mode=False):
    return configure(file, engine, section=section, wanted=wanted, check_mode=check_mode)


def cut_off(file, wanted, section="me"):
    with pytest.raises(KeyboardInterrupt):
        apply(file, Engine(cut=True), wanted, section)


def test_interrupted_change_is_brought_to_its_end(file, tmp_path):
    cut_off(file, {"a": 1})
    engine = Engine()
    assert apply(file, engine, {"a": 1}, check_mode=True).to_result()["changed"]
    outcome = apply(file, engine, {"a": 1})
    assert outcome.restarted
    assert engine.restarts == 1
    assert not apply(file, engine, {"a": 1}).to_result()["changed"]
    # What was set before the cut is known as ours.
    apply(file, engine, {})
    assert json.loads(file.path.read_text()) == {}


def test_interrupted_change_of_another_section_is_brought_to_its_end_too(file):
    cut_off(file, {"b": 2}, "you")
    engine = Engine()
    apply(file, engine, {"a": 1})
    assert engine.restarts == 1
    assert file.sections() == {"you": {"b": 2}, "me": {"a": 1}}


def test_content_from_before_the_interruption_is_what_is_restored(file):
    file.write('{"good": 1}\n')
    cut_off(file, {"a": 1})
    assert file.note()["previous"] == '{"good": 1}\n'
    cut_off(file, {"a": 2})
    assert file.note()["previous"] == '{"good": 1}\n'


def test_link_stays_and_what_it_points_to_is_changed(file, tmp_path):
    real = tmp_path / "real.json"
    real.write_text("{}")
    link = tmp_path / "link.json"
    link.symlink_to(real)
    linked = DaemonFile(
        str(link), str(tmp_path / "r.json"), staging=str(tmp_path), move=shutil.move
    )
    apply(linked, Engine(), {"a": 1})
    assert link.is_symlink()
    assert json.loads(real.read_text()) == {"a": 1}


def test_byte_order_mark_is_no_error(file):
    file.path.parent.mkdir()
    file.path.write_text('{"a": 1}', encoding="utf-8-sig")
    assert apply(file, Engine(), {"b": 2}).config == {"a": 1, "b": 2}


def test_file_that_is_not_text_is_refused(file):
    file.path.parent.mkdir()
    file.path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(Refused, match="not text in UTF-8"):
        apply(file, Engine(), {})


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_record_is_refused_with_the_remedy(file, tmp_path, content):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/record.json").write_text(content)
    with pytest.raises(Refused, match=r"record.json is damaged .* Delete it"):
        apply(file, Engine(), {"a": 1})


def test_containers_that_do_not_come_back_are_named(file, monkeypatch):
    seen = iter([{"kept", "lost", "other"}, {"kept", "new"}])
    monkeypatch.setattr(daemon_file, "running_containers", lambda: next(seen))
    (warning,) = apply(file, Engine(), {"a": 1}).warnings
    assert warning.endswith("Start them with: docker start lost other")


def test_containers_that_come_back_are_no_matter(file, monkeypatch):
    monkeypatch.setattr(daemon_file, "running_containers", lambda: {"kept"})
    assert apply(file, Engine(), {"a": 1}).warnings == []

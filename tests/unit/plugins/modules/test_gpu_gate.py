# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
import json

import pytest
import yaml
from ansible_collections.edgellm.host.plugins.module_utils.gpu import cdi, smi
from ansible_collections.edgellm.host.plugins.module_utils.host import docker_api

from tests.unit.fake_engine import Program
from tests.unit.fake_gpu_host import GB, QWEN, gpu_host

MODULE = "ansible_collections.edgellm.host.plugins.modules.gpu_gate"
PROBE = {"tokens_per_second": 41.23, "size": 5 * GB, "size_vram": 5 * GB, "recorded": False}


@pytest.fixture
def host(monkeypatch):
    """The machine that the module finds."""
    with gpu_host() as host:
        monkeypatch.setattr(docker_api, "SOCKET", str(host.root / docker_api.SOCKET))
        monkeypatch.setattr(smi, "PROGRAMS", (str(host.root / "usr/bin/nvidia-smi"),))
        monkeypatch.setattr(cdi, "PROGRAMS", (str(host.root / "usr/bin/nvidia-ctk"),))
        yield host


@pytest.fixture
def ask(host, run_module):
    def ask(**params):
        spec = str(host.root / "var/run/cdi/nvidia.yaml")
        host.engine.answers["/info"]["CDISpecDirs"] = [str(host.root / "var/run/cdi")]
        return run_module("gpu_gate", **{"url": host.api.url, "cdi_path": spec, **params})

    return ask


def broken(result):
    return [row["code"] for row in result["rows"] if not row["ok"]]


def test_healthy_host_passes(ask):
    result = ask()
    assert broken(result) == []
    told = {key: result[key] for key in ("changed", "gpu_expected", "on_gpu", "summary")}
    assert told == {"changed": False, "gpu_expected": True, "on_gpu": True, "summary": "GPU"}


def test_result_has_the_documented_keys(ask):
    documented = yaml.safe_load(importlib.import_module(MODULE).RETURN)
    result = ask()
    assert set(result) - {"changed", "invocation"} == set(documented)
    assert set(result["rows"][0]) == set(documented["rows"]["contains"])


def test_check_mode_makes_no_container(ask, host, tmp_path):
    record = tmp_path / "gate.json"
    result = ask(check_mode=True, record=str(record))
    assert broken(result) == []
    assert (result["changed"], record.exists()) == (True, False)
    assert not any("/containers/create" in asked.path for asked in host.engine.sent)


def test_trial_can_be_left_out(ask, host):
    ask(trial=False)
    assert not any("/containers/create" in asked.path for asked in host.engine.sent)


def test_broken_link_is_no_failure(ask, host):
    host.revoke()
    result = ask()
    assert broken(result) == ["ollama", "share", "memory"]
    row = next(row for row in result["rows"] if row["code"] == "ollama")
    assert row["remedy"] == "sudo docker restart ollama"


def test_engine_that_is_not_there_is_a_row(ask, host):
    (host.root / "var/run/docker.sock").unlink()
    assert "engine" in broken(ask())


def test_second_image_is_a_row(ask, host):
    host.engine.images["cuda:12"] = Program()
    assert "cuda" in [row["code"] for row in ask(cuda_image="cuda:12")["rows"]]


@pytest.mark.parametrize(
    ("loaded", "prompted", "found"),
    [
        ([QWEN], PROBE, "100.0% of qwen2.5:7b-instruct in GPU memory, 41.2 tokens/s"),
        ([], PROBE, "100.0% of qwen in GPU memory, 41.2 tokens/s"),
        ([], {**PROBE, "size_vram": 0}, "0.0% of qwen in GPU memory, 41.2 tokens/s; at least 90%"),
        ([], {**PROBE, "recorded": True}, "no model is loaded"),
        ([], {**PROBE, "size": None, "size_vram": None}, "no model is loaded"),
        ([QWEN], {**PROBE, "tokens_per_second": None}, "100.0% of qwen2.5:7b-instruct in GPU"),
    ],
)
def test_answer_just_given_is_told(ask, host, loaded, prompted, found):
    host.api.loaded = loaded
    row = next(
        row for row in ask(prompted=prompted, model="qwen")["rows"] if row["code"] == "share"
    )
    assert row["found"].startswith(found)


def test_smallest_share_can_be_chosen(ask, host):
    host.api.loaded = [{**QWEN, "size_vram": 3 * GB}]
    assert broken(ask(min_share=50)) == []
    assert broken(ask(min_share=70)) == ["share"]


def test_host_that_should_use_no_gpu(ask, host):
    result = ask(expect="never")
    assert (result["gpu_expected"], result["summary"]) == (False, "CPU")
    assert [row["ok"] for row in result["rows"]] == [True]
    assert host.engine.sent == []


def test_record_is_written_when_it_says_something_else(ask, host, tmp_path):
    record = tmp_path / "gate.json"
    first = ask(record=str(record))
    assert first["changed"]
    kept = json.loads(record.read_text())
    assert kept["rows"] == first["rows"]
    assert not ask(record=str(record))["changed"]
    host.revoke()
    assert ask(record=str(record))["changed"]
    assert json.loads(record.read_text())["on_gpu"] is False


def test_record_without_a_folder_is_refused(host, run_module, tmp_path):
    record = tmp_path / "no" / "gate.json"
    failure = run_module("gpu_gate", url=host.api.url, record=str(record), fails=True)
    assert "is no folder" in failure["msg"]
    assert host.engine.asked == []


def test_container_of_another_name_is_looked_at(ask):
    result = ask(container="other")
    assert broken(result)[0] == "container"
    assert result["rows"][3]["found"] == "there is no container other"

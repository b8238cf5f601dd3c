# SPDX-License-Identifier: GPL-3.0-or-later
"""A GGUF file that came over a line that broke, its model, and one that can only embed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://box2"]

ROOT = Path(__file__).resolve().parents[3]
FILE = "/srv/edgellm/models/smollm2-gguf/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SIZE = 98_362_432
CHUNK = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def fetched() -> list[dict]:
    """What the origin was asked for since the scenario began."""
    mark = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "mark").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "lab", "record", "--since", mark.strip()]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_file_is_exactly_right_and_nothing_partial_is_left(host):
    assert host.file(FILE).sha256sum == SHA256
    assert host.file(FILE).mode == 0o644
    assert ".part" not in host.check_output("ls -a /srv/edgellm/models/smollm2-gguf")


def test_line_was_cut_and_at_most_one_chunk_came_twice(fetched):
    parts = [r for r in fetched if "/hf-cdn/" in r["path"] and r["method"] == "GET"]
    assert [r for r in parts if "cut_after" in (r["fault"] or "")]
    assert parts[-1]["range"]
    assert SIZE <= sum(r["bytes"] for r in parts) <= SIZE + CHUNK
    assert not any(r["authorization"] for r in parts)


def test_model_has_the_modelfiles_parameters(api):
    shown = api("/api/show", {"model": "smollm2-gguf"})
    parameters = dict(line.split() for line in shown["parameters"].splitlines())
    assert parameters["num_ctx"] == "1024"
    assert parameters["temperature"] == "0.7"


def test_crlf_copy_of_the_modelfile_changes_nothing(host):
    modelfile = (ROOT / "models" / "smollm2-gguf" / "Modelfile").read_text(encoding="utf-8")
    arguments = {
        "name": "smollm2-gguf",
        "gguf": FILE,
        "modelfile": modelfile.replace("\n", "\r\n"),
        "record": "/srv/edgellm/state/model-smollm2-gguf.json",
    }
    result = host.ansible(
        "edgellm.host.ollama_model", json.dumps(arguments), check=True, become=False
    )
    assert result["changed"] is False


def test_chat_answers_and_embedding_model_embeds(host):
    def recorded(name: str) -> dict:
        record = host.file(f"/srv/edgellm/state/probe-{name}.json")
        return json.loads(record.content_string)["probe"]

    assert recorded("smollm2-gguf")["text"]
    assert recorded("smollm2-gguf")["tokens_per_second"] > 0
    assert recorded("smollm2-embed_135m")["dimensions"] == 576


def test_changed_modelfile_is_noticed(host):
    arguments = {
        "name": "smollm2-gguf",
        "gguf": FILE,
        "modelfile": f"FROM {FILE}\nPARAMETER num_ctx 2048\n",
        "record": "/srv/edgellm/state/model-smollm2-gguf.json",
    }
    result = host.ansible(
        "edgellm.host.ollama_model", json.dumps(arguments), check=True, become=False
    )
    assert result["changed"] is True

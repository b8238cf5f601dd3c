# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's own tasks fetch what a model.yml may name, from a server on loopback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.file_server import Fault, FileServer

ROLE = Path(__file__).resolve().parents[3] / "roles/ollama_models"
CONTENT = b"GGUF" + bytes(1000)
KEYS = ("repo", "file", "revision", "sha256", "size", "url", "mirrors")


def gguf_task(tasks: str) -> dict:
    """The task of this file of the role that has or plans the GGUF files."""
    every = yaml.safe_load((ROLE / "tasks" / tasks).read_text("utf-8"))
    return next(task for task in every if "edgellm.host.gguf_file" in task)


def model(folder: str, **gguf) -> dict:
    source = {
        **dict.fromkeys(("registry", "digest", "from")),
        "gguf": {**dict.fromkeys(KEYS), "file": "x.gguf", **gguf},
    }
    return {"name": folder, "folder": folder, "source": source, "modelfile": None, "lock": None}


@pytest.mark.parametrize(("tasks", "fetched"), [("models.yml", True), ("plan.yml", False)])
def test_file_is_that_of_a_repository_or_of_an_address(tmp_path, run_play, tasks, fetched):
    with FileServer(CONTENT).running() as server:
        # Of what is at the address, nobody but the model says how large it is.
        server.faults.extend([Fault(method="HEAD", headers={"Content-Length": None})] * 4)
        models = [
            model("by-repo", repo="n/r"),
            model("by-url", url=server.plain, size=len(CONTENT)),
        ]
        for each in models:
            (tmp_path / each["folder"]).mkdir()
        (tmp_path / "state").mkdir()
        defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text("utf-8"))
        play = {
            "hosts": "box",
            "gather_facts": False,
            "check_mode": not fetched,
            "vars": {
                **defaults,
                "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                "ollama_models_huggingface": server.endpoint,
                "ollama_models_files_dir": str(tmp_path),
                "ollama_models_state_dir": str(tmp_path / "state"),
                "ollama_models_store": "",
                "ollama_models_specs": "{{ cases }}",
            },
            "vars_files": [str(ROLE / "vars/main.yml")],
            "tasks": [
                gguf_task(tasks),
                {
                    "ansible.builtin.copy": {
                        "content": "{{ __ollama_models_files.results | to_json }}",
                        "dest": str(tmp_path / "said.json"),
                        "mode": "0600",
                    },
                    "check_mode": False,
                },
            ],
        }
        (tmp_path / "play.yml").write_text(json.dumps([play]))
        run_play(tmp_path, models)
    said = json.loads((tmp_path / "said.json").read_text())
    assert [each["bytes_fetched"] for each in said] == [len(CONTENT)] * 2
    files = [tmp_path / each["folder"] / "x.gguf" for each in models]
    assert [path.exists() and path.read_bytes() == CONTENT for path in files] == [fetched] * 2
    records = ["gguf-by-repo.json", "gguf-by-url.json"] if fetched else []
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == records

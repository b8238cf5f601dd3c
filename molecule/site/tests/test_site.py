# SPDX-License-Identifier: GPL-3.0-or-later
"""A box after `site.yml`: network, container, loopback-only port, model by digest, answer."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

testinfra_hosts = ["ansible://box1"]

ORIGIN = "http://198.18.77.2"
JAPANESE = "日本語の挨拶：こんにちは、𠮷野家。"


def test_engine_comes_from_dockers_own_packages_and_starts_at_boot(host):
    assert host.package("docker-ce").is_installed
    assert host.package("docker-compose-plugin").is_installed
    assert not host.package("docker.io").is_installed
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_network_edge_is_a_bridge_with_ollama_on_it(docker_json):
    network = docker_json("edge")
    assert network["Driver"] == "bridge"
    assert [member["Name"] for member in network["Containers"].values()] == ["ollama"]


def test_container_is_healthy_and_comes_back_by_itself(docker_json):
    container = docker_json("ollama")
    assert container["State"]["Health"]["Status"] == "healthy"
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert container["Config"]["Labels"]["com.docker.compose.project"] == "ollama"


def test_guides_tuning_values_reach_the_server(docker_json):
    environment = docker_json("ollama")["Config"]["Env"]
    assert {"OLLAMA_NUM_PARALLEL=1", "OLLAMA_KEEP_ALIVE=30m", "OLLAMA_NOPRUNE=1"} <= set(
        environment
    )


def test_data_is_on_the_host_and_models_are_read_only(docker_json):
    mounts = {mount["Destination"]: mount for mount in docker_json("ollama")["Mounts"]}
    assert mounts["/root/.ollama"]["Source"] == "/srv/edgellm/data"
    assert mounts["/root/.ollama"]["RW"]
    assert mounts["/models"]["Source"] == "/srv/edgellm/models"
    assert not mounts["/models"]["RW"]


def test_start_is_refused_when_the_data_disk_is_gone(host):
    host.check_output("docker stop ollama")
    host.check_output("mv /srv/edgellm/data /srv/edgellm/data.away")
    try:
        start = host.run("docker start ollama")
        assert start.rc != 0
        assert not host.file("/srv/edgellm/data").exists
    finally:
        host.check_output("mv /srv/edgellm/data.away /srv/edgellm/data")
        host.check_output("docker compose -f /srv/edgellm/ollama/compose.yaml up -d --wait")


def test_port_is_open_on_loopback_only(host):
    listening = host.check_output("ss -Hltn 'sport = :11434'").split("\n")
    assert [line.split()[3] for line in listening] == ["127.0.0.1:11434"]
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://198.18.77.11:11434/", timeout=5)


def test_model_is_the_registrys_by_digest(api):
    manifest = httpx.get(f"{ORIGIN}/v2/library/smollm2/manifests/135m").content
    digests = {model["name"]: model["digest"] for model in api("/api/tags")["models"]}
    assert sorted(digests) == ["smollm2-gguf:latest", "smollm2:135m"]
    assert digests["smollm2:135m"] == hashlib.sha256(manifest).hexdigest()


def test_server_says_that_it_is_a_stand_in(api):
    assert api("/api/version")["version"].endswith("+standin")


def test_chat_answers_with_real_tokens(api):
    answer = api(
        "/api/chat",
        {
            "model": "smollm2:135m",
            "stream": False,
            "messages": [{"role": "user", "content": "The capital of France is"}],
            "options": {"temperature": 0, "num_predict": 24},
        },
    )
    assert "Paris" in answer["message"]["content"]
    assert answer["eval_count"] > 0


def test_japanese_goes_through_the_whole_chain_intact(host):
    """The schema leaves the model no other answer: every byte of it went there and back."""
    arguments = {
        "name": "smollm2:135m",
        "kind": "chat",
        "prompt": JAPANESE,
        "format": {
            "type": "object",
            "properties": {"text": {"const": JAPANESE}},
            "required": ["text"],
        },
    }
    result = host.ansible(
        "edgellm.host.ollama_probe", json.dumps(arguments), check=False, become=False
    )
    assert json.loads(result["probe"]["text"]) == {"text": JAPANESE}


def test_prompt_arrives_at_the_server_byte_by_byte(host):
    record = host.file("/srv/edgellm/data/requests.jsonl").content_string
    sent = [bytes.fromhex(json.loads(line)["hex"] or "") for line in record.splitlines()]
    assert any(JAPANESE.encode() in body for body in sent)


def test_edgellm_status_says_what_there_is(host):
    status = host.run("edgellm status")
    assert status.rc == 0, status.stdout
    for expected in ("http://127.0.0.1:11434", "CPU", "smollm2:135m", "GB"):
        assert expected in status.stdout


def test_edgellm_down_and_up_by_hand(host):
    assert host.run("edgellm down").rc == 0
    stopped = host.run("edgellm status")
    assert stopped.rc == 1
    assert host.run("edgellm up").rc == 0
    assert host.run("edgellm status").rc == 0


def test_no_secret_or_state_file_is_writable_by_others(host):
    found = host.check_output("find /srv/edgellm /etc/edgellm.json -perm -o+w ! -type l")
    assert found == ""


def test_report_was_written():
    report = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "report.json")
    (summary,) = json.loads(report.read_text(encoding="utf-8"))["hosts"].values()
    assert re.fullmatch(r"[0-9a-f]{64}", summary["models"][0]["digest"])
    assert summary["models"][0]["answer"]


def test_plan_of_a_changed_setting_names_the_container(tmp_path):
    """What `site.yml --check` says when a setting differs from what the box runs with."""
    root = Path(__file__).resolve().parents[3]
    command = ["ansible-playbook", f"--inventory={root}/molecule/inventory", "--check"]
    settings = {"ollama_server_keep_alive": "1h", "edgellm_report_dir": str(tmp_path)}
    done = subprocess.run(
        [*command, f"--extra-vars={json.dumps(settings)}", f"{root}/playbooks/site.yml"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    (host,) = report["hosts"].values()
    assert [step["what"] for step in host["plan"]] == ["Container"]
    assert "made anew" in host["plan"][0]["detail"]

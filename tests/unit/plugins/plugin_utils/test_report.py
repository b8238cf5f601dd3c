# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.plugin_utils import report, text

DIGEST = "845dbda0ea48ed749caafd9e6037047aa19acfcfd82e704d7ca97d631a0b697e"
DISK = {"path": "/srv/edgellm", "free_bytes": 41_200_000_000, "total_bytes": 100_000_000_000}
QWEN = {"name": "qwen2.5:7b-instruct", "digest": DIGEST, "size": 4_683_087_332}
BGE = {"name": "bge-m3:latest", "digest": "79" * 32, "size": 1_157_672_605}
CHAT = {
    "kind": "chat",
    "text": "私は人工知能です。",
    "tokens_per_second": 41.26,
    "processor": "100% GPU",
    "digest": DIGEST,
    "size": 5_816_832_000,
    "measured_at": "2026-11-20T10:31:00+00:00",
    "recorded": False,
}
EMBED = {
    "kind": "embed",
    "text": None,
    "dimensions": 1024,
    "tokens_per_second": None,
    "processor": "100% CPU",
    "digest": "79" * 32,
    "measured_at": "2026-11-20T10:31:00+00:00",
    "recorded": True,
}
HOST = {
    "endpoint": "http://127.0.0.1:11434",
    "server_version": "0.32.15",
    "devices": 1,
    "disk": DISK,
    "models": [QWEN, BGE],
    "probes": [CHAT, EMBED],
}
STEPS = [
    {"what": "Docker Engine", "detail": "docker-ce " * 12, "bytes": None},
    {
        "what": "Container image",
        "detail": "ollama",
        "bytes": 2_000_000_000,
        "disk_bytes": 5 * 10**9,
    },
    {"what": "Model", "detail": "モデル", "bytes": 1_157_672_605},
    {"what": "Docker network", "detail": "edge", "bytes": 0},
]


def page(mode, **hosts):
    condensed = {name: report.condense(host) for name, host in hosts.items()}
    return report.render(mode, condensed)


def test_run_shows_everything_of_a_host():
    assert (
        page("run", box1=HOST)
        == """\
box1: http://127.0.0.1:11434, Ollama 0.32.15, GPU
  41.2 GB of 100.0 GB free in /srv/edgellm
  Model                Digest          Size            Speed  Runs on   Kind
  qwen2.5:7b-instruct  845dbda0ea48  4.7 GB    41.3 tokens/s  100% GPU  chat
  bge-m3:latest        797979797979  1.2 GB  1024 dimensions  100% CPU  embed (recorded 2026-11-20)

  qwen2.5:7b-instruct answered:
    私は人工知能です。
"""
    )


def test_recorded_answer_is_told_with_its_date():
    shown = page("run", box1={**HOST, "probes": [{**CHAT, "recorded": True}]})
    assert "qwen2.5:7b-instruct answered (recorded 2026-11-20):" in shown


def test_long_answer_is_wrapped():
    answer = "日本一高い山は、富士山です。" * 20
    shown = page("run", box1={**HOST, "probes": [{**CHAT, "text": answer}]})
    assert max(text.width(line) for line in shown.splitlines()) <= report.WIDTH
    assert answer in shown.replace("\n    ", "")


def test_plan_shows_steps_bytes_and_disk():
    assert (
        page("plan", box1={**HOST, "plan": STEPS})
        == """\
box1: 4 steps, more than 3.2 GB to fetch
  What              Fetch  Detail
  Docker Engine         ?  docker-ce docker-ce docker-ce docker-ce docker-ce docker-ce docker-ce
                           docker-ce docker-ce docker-ce docker-ce docker-ce
  Container image  2.0 GB  ollama
  Model            1.2 GB  モデル
  Docker network        -  edge
  Free disk in /srv/edgellm: 41.2 GB now, at most 35.0 GB afterwards
"""
    )


def test_plan_without_steps_has_nothing_to_do():
    assert page("plan", box1=HOST) == "box1: nothing to do\n"


def test_plan_that_does_not_fit_says_so():
    step = {"what": "Model", "detail": "big", "bytes": 42_000_000_000}
    shown = page("plan", box1={**HOST, "plan": [step]})
    assert "Not enough disk in /srv/edgellm: 41.2 GB free, 800.0 MB too little" in shown


def test_disk_after_the_plan_may_be_told_by_the_caller():
    told = {"before_bytes": 2_000, "after_bytes": 1_000}
    host = {"plan": STEPS[3:], "plan_disk": told}
    assert "Free disk: 2.0 kB now, 1.0 kB afterwards" in page("plan", box1=host)


def test_several_hosts_end_in_a_sum():
    assert page("run", a=HOST, b=HOST).endswith("\n2 hosts, 4 models\n")
    plan = page("plan", a={"plan": STEPS[2:3]}, b={"plan": []})
    assert plan.endswith("b: nothing to do\n\n2 hosts, 1 step, 1.2 GB to fetch\n")


@pytest.mark.parametrize("mode", ["run", "plan"])
def test_empty_report_is_no_error(mode):
    assert page(mode, box1={}).startswith("box1: ")


def test_server_that_is_silent_is_said():
    assert "Ollama does not answer" in page("run", box1={**HOST, "server_version": None})


@pytest.mark.parametrize(
    ("devices", "processors", "gpu"),
    [
        (0, [], "CPU"),
        (0, ["100% CPU"], "CPU"),
        (1, ["100% GPU", "100% CPU"], "GPU"),
        (1, ["37% CPU / 63% GPU"], "GPU"),
        (1, ["100% CPU"], "CPU, 1 NVIDIA GPU unused"),
        (2, [], "2 NVIDIA GPUs"),
    ],
)
def test_gpu_is_told_by_what_was_measured(devices, processors, gpu):
    models = [{"name": "m", "processor": processor} for processor in processors]
    assert report.condense({"devices": devices, "models": models})["gpu"] == gpu


def test_probe_joins_the_model_of_its_digest():
    condensed = report.condense({**HOST, "probes": [EMBED, {}, CHAT]})
    assert "probes" not in condensed
    assert [model.get("answer") for model in condensed["models"]] == ["私は人工知能です。", None]
    # On disk, not in memory.
    assert condensed["models"][0]["size"] == QWEN["size"]


def test_disk_as_host_info_tells_it_is_shown_by_its_mount_point():
    disk = {"mount_point": "/srv", "free_bytes": 1, "total_bytes": 2}
    assert "free in /srv" in page("run", box1={"disk": disk})


def test_promises_are_counted_and_broken_ones_come_with_their_remedy():
    checks = [
        {"check": "network edge exists", "ok": True, "found": "edge", "remedy": "-"},
        {"check": "Ollama is healthy", "ok": False, "found": "exited", "remedy": "edgellm up"},
    ]
    page = report.render("verify", {"box1": {"checks": checks}}).splitlines()
    assert page[0] == "box1: 1 of 2 promises hold"
    assert page[2].split() == ["yes", "network", "edge", "exists", "edge"]
    assert page[3].split() == ["NO", "Ollama", "is", "healthy", "exited"]
    assert page[4].strip() == "Ollama is healthy: no. Try: edgellm up"


def test_several_verified_hosts_get_a_total():
    good = {"checks": [{"check": "c", "ok": True, "found": "-", "remedy": "-"}]}
    bad = {"checks": [{"check": "c", "ok": False, "found": "-", "remedy": "-"}]}
    page = report.render("verify", {"a": good, "b": bad})
    assert page.splitlines()[-1] == "1 of 2 hosts as promised"


NOTE = f"bge-m3: {'the registry has another version now ' * 3}."


@pytest.mark.parametrize(
    ("mode", "host", "before"),
    [
        ("run", HOST, "\n"),
        ("run", {**HOST, "models": [], "probes": []}, "no models\n"),
        ("plan", {"plan": []}, "nothing to do\n"),
        ("plan", {"plan": STEPS}, "network\n"),
    ],
)
def test_notes_come_last_and_are_wrapped(mode, host, before):
    shown = page(mode, box1={**host, "notes": [NOTE, "Second."]})
    head, _note, tail = shown.partition("  Note: bge-m3: ")
    assert tail.endswith("\n  Note: Second.\n")
    assert head.endswith(before) or mode == "plan"
    assert all(text.width(line) <= report.WIDTH for line in tail.splitlines())
    assert "Note" not in page(mode, box1={**host, "notes": []})

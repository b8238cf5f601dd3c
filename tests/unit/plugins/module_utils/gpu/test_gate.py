# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import gate
from ansible_collections.edgellm.host.plugins.module_utils.gpu.cdi import Problem, Spec
from ansible_collections.edgellm.host.plugins.module_utils.gpu.facts import Facts
from ansible_collections.edgellm.host.plugins.module_utils.gpu.injection import Injection
from ansible_collections.edgellm.host.plugins.module_utils.gpu.observation import (
    Attempt,
    Container,
    Engine,
    Loaded,
    Observation,
    Prompted,
)
from ansible_collections.edgellm.host.plugins.module_utils.gpu.smi import Gpu, Process, Smi

GB = 1_000_000_000
RTX = Gpu(0, "GPU-a", "NVIDIA GeForce RTX 4090", "580.95.05", 24 * GB, 6 * GB)
SECOND = Gpu(1, "GPU-b", "NVIDIA GeForce RTX 4090", "580.95.05", 24 * GB, 6 * GB)
OLLAMA = Process(812, "GPU-a", "/usr/bin/ollama", 5 * GB)
SMI = Smi("/usr/bin/nvidia-smi", (RTX,), (OLLAMA,))
NO_SMI = Smi(problem="not_installed", message="nvidia-smi is not installed")
SPEC = Spec(
    path="/var/run/cdi/nvidia.yaml",
    program="/usr/bin/nvidia-ctk",
    fresh="x",
    present="x",
    devices=("0", "GPU-a", "all"),
    strays=(),
    problems=(),
)
NO_TOOLKIT = Spec(
    "/var/run/cdi/nvidia.yaml",
    None,
    None,
    None,
    (),
    (),
    (Problem("not_installed", "nvidia-ctk is not installed"), Problem("missing", "it is missing")),
)
FACTS = Facts("native", 1, "580.95.05", SMI, SPEC, {})
ENGINE = Engine(
    "29.7.2",
    ("/etc/cdi", "/var/run/cdi"),
    ("nvidia", "runc"),
    settings={"runtimes": {"nvidia": {}, "nvidia-cdi": {}}},
)
LISTED = "GPU 0: NVIDIA GeForce RTX 4090 (UUID: GPU-a)\n"
BOTH = LISTED + "GPU 1: NVIDIA GeForce RTX 4090 (UUID: GPU-b)\n"
REVOKED = Attempt(255, "Failed to initialize NVML: Unknown Error\n")
QWEN = Loaded("qwen2.5:7b-instruct", 5 * GB, 5 * GB)
CONTAINER = Container(injection=Injection("cdi"))
HEALTHY = Observation(
    facts=FACTS,
    engine=ENGINE,
    container=CONTAINER,
    trial=Attempt(0, LISTED),
    inside=Attempt(0, LISTED),
    loaded=(QWEN,),
    pids=(790, 812),
)
BARE = Observation(Facts("native", 0, None, NO_SMI, NO_TOOLKIT, {}), ENGINE, container=CONTAINER)
CPU = replace(BARE, container=Container())

CODES = ("driver", "cdi", "engine", "container", "ollama", "share", "memory")
SITE = "ansible-playbook site.yml"
RESTART = "sudo docker restart ollama"


def facts(**changes):
    return replace(HEALTHY, facts=replace(FACTS, **changes))


def given(injection, **changes):
    return replace(HEALTHY, container=Container(injection=injection), **changes)


def smi_says(problem, message="", program="/usr/bin/nvidia-smi"):
    return facts(smi=Smi(program, problem=problem, message=message))


def spec_with(*problems):
    return facts(cdi=replace(SPEC, problems=tuple(Problem(*problem) for problem in problems)))


def rows_of(seen, **asked):
    return {row.code: row for row in gate.judge(seen, **asked).rows}


def broken(rows):
    """Which rows do not hold; those that were not judged have a question mark."""
    return [
        row.code + ("?" if row.found.startswith("not checked") else "")
        for row in rows.values()
        if not row.ok
    ]


def test_healthy_host_with_one_gpu():
    verdict = gate.judge(HEALTHY)
    assert (verdict.gpu_expected, verdict.on_gpu, verdict.summary, verdict.ok) == (
        True,
        True,
        "GPU",
        True,
    )
    assert [(row.code, row.found, row.remedy) for row in verdict.rows] == [
        ("driver", "NVIDIA GeForce RTX 4090, driver 580.95.05", ""),
        ("cdi", "/var/run/cdi/nvidia.yaml: 0, GPU-a, all", ""),
        ("engine", "Docker Engine 29.7.2, by CDI", ""),
        ("container", "GPU-a", ""),
        ("ollama", "GPU-a", ""),
        ("share", "100.0% of qwen2.5:7b-instruct in GPU memory", ""),
        ("memory", "process 812 with 5.0 GB", ""),
    ]


LINKS = {
    "the driver is not installed": (
        smi_says("not_installed", "nvidia-smi is not installed", None),
        ["driver", "cdi?", "container?", "ollama?", "share?", "memory?"],
        ("driver", "NVIDIA GPUs on the PCI bus: 1", "Install the driver, then reboot"),
    ),
    "libraries were upgraded under the kernel": (
        smi_says("driver_library_mismatch", "Driver/library version mismatch"),
        ["driver", "cdi?", "container?", "ollama?", "share?", "memory?"],
        ("driver", "Driver/library version mismatch", "sudo reboot"),
    ),
    "the kernel module is not loaded": (
        smi_says("driver_not_loaded", "couldn't communicate with the NVIDIA driver"),
        ["driver", "cdi?", "container?", "ollama?", "share?", "memory?"],
        ("driver", "couldn't communicate", "sudo modprobe nvidia"),
    ),
    "nvidia-smi hangs": (
        smi_says("timeout", "did not answer in time"),
        ["driver", "cdi?", "container?", "ollama?", "share?", "memory?"],
        ("driver", "did not answer in time", "dmesg"),
    ),
    "the specification is stale": (
        spec_with(("stale", "/var/run/cdi/nvidia.yaml has another driver")),
        ["cdi"],
        ("cdi", "has another driver", "sudo nvidia-ctk cdi generate --output=/var/run/cdi/"),
    ),
    "another specification is there": (
        facts(
            cdi=replace(
                SPEC, strays=("/etc/cdi/n.yaml",), problems=(Problem("stray", "n.yaml too"),)
            )
        ),
        ["cdi"],
        ("cdi", "n.yaml too", "sudo mv /etc/cdi/n.yaml"),
    ),
    "nvidia-ctk fails": (
        spec_with(("failed", "nvidia-ctk: no driver")),
        ["cdi"],
        ("cdi", "no driver", "sudo nvidia-ctk --debug cdi generate"),
    ),
    "the toolkit is gone": (
        replace(facts(cdi=NO_TOOLKIT), trial=Attempt(error="unresolvable CDI devices")),
        ["cdi", "container"],
        ("cdi", "nvidia-ctk is not installed; it is missing", SITE),
    ),
    "the specification lacks a GPU of the container": (
        given(Injection("cdi", ("GPU-b",)), trial=Attempt(error="unresolvable CDI devices x=b")),
        ["cdi", "container", "ollama", "share?", "memory?"],
        ("cdi", "has no GPU-b; it has 0, GPU-a, all", SITE),
    ),
    "the engine is down": (
        replace(HEALTHY, engine=Engine(error="no engine listens on /x"), container=None),
        ["engine", "container?", "ollama?", "share?", "memory?"],
        ("engine", "no engine listens", "sudo systemctl start docker"),
    ),
    "the engine knows no CDI": (
        replace(HEALTHY, engine=Engine("20.10.24", None, ("runc",))),
        ["engine"],
        ("engine", "Docker Engine 20.10.24 has no CDI, 26.1 and newer have it", SITE),
    ),
    "CDI is off": (
        replace(HEALTHY, engine=Engine("27.0.1", (), ("runc",))),
        ["engine"],
        ("engine", "features.cdi in daemon.json", SITE),
    ),
    "the engine reads other folders": (
        replace(HEALTHY, engine=Engine("29.7.2", ("/opt/cdi",), ("runc",))),
        ["engine"],
        ("engine", "reads /opt/cdi, not /var/run/cdi/nvidia.yaml", SITE),
    ),
    "the runtime is gone": (
        replace(
            given(Injection("runtime", runtime="nvidia")),
            engine=Engine("29.7.2", (), ("runc",)),
            trial=Attempt(error="unknown or invalid runtime name: nvidia"),
        ),
        ["engine", "container"],
        ("engine", "has no runtime nvidia (daemon.json), it has runc", SITE),
    ),
    "the hook is gone": (
        replace(given(Injection("device_request")), engine=Engine("27.0.1", (), ("runc",))),
        ["engine"],
        ("engine", "nvidia-container-runtime-hook, which serves --gpus, is not", SITE),
    ),
    "there is no container": (
        replace(HEALTHY, container=None, trial=None, inside=None, loaded=None, api_error="x"),
        ["container", "ollama?", "share?", "memory?"],
        ("container", "there is no container ollama", SITE),
    ),
    "the container was given no GPU": (
        given(Injection(), trial=None, inside=None),
        ["container", "ollama?", "share?", "memory?"],
        ("container", "Ollama's container has no GPU", SITE),
    ),
    "a new container does not start": (
        replace(HEALTHY, trial=Attempt(error="unresolvable CDI devices nvidia.com/gpu=all")),
        ["container"],
        ("container", "unresolvable CDI devices nvidia.com/gpu=all", SITE),
    ),
    "a new container cannot open the device": (
        replace(HEALTHY, trial=REVOKED),
        ["container"],
        ("container", "Failed to initialize NVML: Unknown Error", SITE),
    ),
    "the container does not run": (
        replace(
            HEALTHY,
            container=replace(CONTAINER, running=False, status="exited", error="no device all"),
            inside=None,
        ),
        ["ollama", "share?", "memory?"],
        ("ollama", "ollama does not run (exited): no device all", "sudo docker start ollama"),
    ),
    "the running container has lost its GPU": (
        # The server still says 100% GPU, and its process may still hold the memory.
        replace(HEALTHY, inside=REVOKED),
        ["ollama", "share?", "memory?"],
        ("ollama", "Failed to initialize NVML: Unknown Error", RESTART),
    ),
    "no container gets the GPU any more": (
        replace(HEALTHY, trial=REVOKED, inside=REVOKED),
        ["container", "ollama", "share?", "memory?"],
        ("ollama", "Unknown Error", f"{SITE}; then {RESTART}"),
    ),
    "nvidia-smi is not in the container": (
        replace(HEALTHY, inside=Attempt(error='exec: "nvidia-smi": not found in $PATH')),
        ["ollama", "share?", "memory?"],
        ("ollama", "not found in $PATH", RESTART),
    ),
    "the API does not answer": (
        replace(HEALTHY, loaded=None, api_error="http://x (refused)"),
        ["share", "memory?"],
        ("share", "Ollama's API does not answer: http://x (refused)", RESTART),
    ),
    "the model runs on the CPU": (
        replace(HEALTHY, loaded=(replace(QWEN, size_vram=0),)),
        ["share", "memory?"],
        ("share", "0.0% of qwen2.5:7b-instruct in GPU memory; at least 90%", RESTART),
    ),
    "a part of the model runs on the CPU": (
        replace(HEALTHY, loaded=(replace(QWEN, size_vram=3 * GB),)),
        ["share"],
        ("share", "60.0% of qwen2.5:7b-instruct in GPU memory; at least 90%", "nvidia-smi"),
    ),
    "the server's numbers cannot be": (
        replace(HEALTHY, loaded=(replace(QWEN, size=GB),)),
        ["share"],
        ("share", "5000000000 of 1000000000 bytes, which cannot be", "nvidia-smi"),
    ),
    "only others are on the GPU": (
        facts(smi=replace(SMI, processes=(Process(7, "GPU-a", "blender", GB),))),
        ["memory"],
        ("memory", "none of Ollama's processes is among those on the GPU: 7 (blender)", RESTART),
    ),
    "nobody is on the GPU": (
        facts(smi=replace(SMI, gpus=(replace(RTX, memory_used=1 << 20),), processes=())),
        ["memory"],
        ("memory", "0.0 GB are in use, Ollama says that it takes 5.0 GB", RESTART),
    ),
}


@pytest.mark.parametrize("link", LINKS)
def test_broken_link_is_named_with_its_remedy(link):
    seen, wrong, (code, found, remedy) = LINKS[link]
    rows = rows_of(seen)
    assert broken(rows) == wrong
    assert found in rows[code].found
    assert remedy in rows[code].remedy
    # What was not judged says what to mend first, and whoever reads only that row knows how.
    for row in rows.values():
        if row.found.startswith("not checked"):
            cause = next(r for r in rows.values() if r.check in row.found)
            assert (cause.ok, row.remedy) == (False, cause.remedy)


@pytest.mark.parametrize(
    ("link", "on_gpu"),
    [
        ("the specification is stale", True),
        ("a part of the model runs on the CPU", True),
        ("a new container does not start", True),
        ("the running container has lost its GPU", False),
        ("the model runs on the CPU", False),
        ("only others are on the GPU", False),
        ("the driver is not installed", False),
        ("the container does not run", False),
        ("the API does not answer", False),
    ],
)
def test_on_gpu_is_what_happens_now(link, on_gpu):
    verdict = gate.judge(LINKS[link][0])
    assert (verdict.on_gpu, verdict.ok) == (on_gpu, False)
    assert verdict.summary == ("GPU" if on_gpu else "CPU")


def test_lost_gpu_is_broken_whatever_the_server_says():
    rows = rows_of(replace(HEALTHY, inside=REVOKED))
    assert rows["share"].found == (
        'not checked: first "Ollama sees the GPU" '
        "(the server says 100.0% of qwen2.5:7b-instruct in GPU memory)"
    )


@pytest.mark.parametrize(
    ("seen", "expect", "found"),
    [
        (CPU, "auto", "CPU: this host has no GPU"),
        (CPU, "never", "CPU: none is used here, as asked for"),
        (HEALTHY, "never", "CPU: none is used here, as asked for"),
        (replace(CPU, engine=Engine(error="down"), container=None), "auto", "CPU: this host"),
    ],
)
def test_host_without_a_gpu_is_one_row(seen, expect, found):
    verdict = gate.judge(seen, expect)
    (row,) = verdict.rows
    assert (row.code, row.check, row.ok) == ("driver", "GPU", True)
    assert row.found.startswith(found)
    assert (verdict.gpu_expected, verdict.on_gpu, verdict.summary) == (False, False, "CPU")


@pytest.mark.parametrize(
    ("seen", "expect"),
    [
        (CPU, "always"),
        (BARE, "auto"),
        (replace(CPU, facts=replace(CPU.facts, pci_devices=1)), "auto"),
        (replace(CPU, facts=replace(CPU.facts, smi=SMI)), "auto"),
    ],
    ids=["asked for", "the container was given one", "on the bus", "nvidia-smi is there"],
)
def test_gpu_is_expected(seen, expect):
    assert gate.judge(seen, expect).gpu_expected


def test_a_driver_alone_is_no_gpu():
    none = Smi("/usr/bin/nvidia-smi", problem="no_devices", message="No devices were found")
    seen = replace(CPU, facts=replace(CPU.facts, smi=none))
    assert broken(rows_of(seen)) == []
    # But a card that is there, or that the container was given, is missed.
    on_the_bus = replace(seen, facts=replace(seen.facts, pci_devices=1))
    given_once = replace(seen, container=CONTAINER)
    assert broken(rows_of(on_the_bus))[0] == broken(rows_of(given_once))[0] == "driver"


def test_host_that_should_have_a_gpu_and_has_none():
    rows = rows_of(CPU, expect="always")
    assert broken(rows)[0] == "driver"
    assert rows["driver"].remedy == "install NVIDIA's driver, then reboot"


# Which GPUs the container should see: two in the host, more or less of them wanted.
TWO = replace(SMI, gpus=(RTX, SECOND))


@pytest.mark.parametrize(
    ("injection", "listed", "wrong"),
    [
        (Injection("cdi"), BOTH, ""),
        (Injection("cdi"), LISTED, "does not see GPU-b"),
        (Injection("cdi", ("GPU-a",)), LISTED, ""),
        (Injection("cdi", ("0",)), LISTED, ""),
        (Injection("cdi", ("GPU-a",)), BOTH, "sees GPU-b, not meant for it"),
        (Injection("device_request", count=1), LISTED, ""),
        (Injection("device_request", count=2), LISTED, "sees 1 GPUs, 2 were asked for"),
        (Injection("runtime", ("1",), runtime="nvidia"), LISTED, "does not see GPU-b; sees GPU-a"),
        (Injection("runtime", ("MIG-1",), runtime="nvidia"), f"{LISTED} MIG (UUID: MIG-1)", ""),
        (Injection("runtime", ("0:1",), runtime="nvidia"), f"{LISTED} MIG (UUID: MIG-1)", ""),
        (Injection("cdi"), "", "nvidia-smi lists no GPU"),
    ],
)
def test_container_must_see_what_it_was_given(injection, listed, wrong):
    spec = replace(SPEC, devices=("0", "1", "GPU-a", "GPU-b", "all"))
    seen = replace(
        given(injection, trial=Attempt(0, listed), inside=Attempt(0, listed)),
        facts=replace(FACTS, smi=TWO, cdi=spec),
        engine=replace(ENGINE, has_hook=True),
    )
    rows = rows_of(seen)
    assert (rows["ollama"].ok, rows["container"].ok) == (not wrong, not wrong)
    assert wrong in rows["ollama"].found


def test_two_equal_gpus_are_told_as_such():
    row = rows_of(facts(smi=TWO))["driver"]
    assert row.found == "2 x NVIDIA GeForce RTX 4090, driver 580.95.05"


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (given(Injection("runtime", runtime="nvidia")), "by the runtime nvidia"),
        (given(Injection("device_request")), "by a device request (--gpus)"),
        (given(Injection()), "no GPU"),
    ],
)
def test_engine_row_says_which_way_is_used(seen, told):
    assert rows_of(seen)["engine"].found == f"Docker Engine 29.7.2, {told}"


RUNTIME = Injection("runtime", runtime="nvidia")
OURS = {"features": {"cdi": True}, "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}


@pytest.mark.parametrize(
    ("injection", "version", "settings", "says"),
    [
        (Injection("cdi"), "26.1.5", OURS, None),
        (Injection("cdi"), "26.1.5+dfsg1", {}, "takes away CDI"),
        (Injection("cdi"), "28.1.0", {"features": {"cdi": False}}, "takes away CDI"),
        (Injection("cdi"), "28.2.0", {"features": {"cdi": False}}, "takes away CDI"),
        (Injection("cdi"), "28.2.0", {}, None),
        (Injection("cdi"), "29.7.2", {"features": None}, None),
        (Injection("cdi"), "29.7.2", None, "no valid JSON"),
        (RUNTIME, "29.7.2", OURS, None),
        (RUNTIME, "29.7.2", {"runtimes": {"crun": {}}}, "takes away runtime nvidia"),
        (Injection("device_request"), "29.7.2", {}, None),
    ],
)
def test_what_the_next_restart_of_the_engine_takes_away_is_named(
    injection, version, settings, says
):
    engine = replace(ENGINE, version=version, settings=settings)
    row = rows_of(given(injection, engine=engine))["engine"]
    assert row.ok is (says is None)
    assert says is None or (says in row.found and row.remedy == SITE)


def test_folder_of_the_specification_has_two_names():
    engine = Engine("29.7.2", ("/etc/cdi", "/run/cdi"), ("runc",))
    assert rows_of(replace(HEALTHY, engine=engine))["engine"].ok


def test_specification_is_no_matter_without_cdi_and_toolkit():
    seen = replace(
        given(Injection("runtime", runtime="nvidia")), facts=replace(FACTS, cdi=NO_TOOLKIT)
    )
    rows = rows_of(seen)
    assert "cdi" not in rows
    assert broken(rows) == []


def test_quiet_look_tells_the_way_and_that_it_was_not_tried():
    row = rows_of(replace(HEALTHY, trial=None))["container"]
    assert (row.ok, row.found) == (True, "by CDI, not tried now")


@pytest.mark.parametrize(
    ("cuda", "ok", "remedy"),
    [
        (Attempt(0, LISTED), True, ""),
        (REVOKED, False, SITE),
        (Attempt(error="No such image: cuda:12"), False, "sudo docker pull cuda:12"),
    ],
)
def test_second_image_makes_a_row_of_its_own(cuda, ok, remedy):
    rows = rows_of(replace(HEALTHY, cuda=cuda, cuda_image="cuda:12"))
    assert list(rows) == [*CODES[:4], "cuda", *CODES[4:]]
    assert (rows["cuda"].check, rows["cuda"].ok) == ("cuda:12 gets the GPU", ok)
    assert rows["cuda"].remedy == remedy


@pytest.mark.parametrize(
    ("size_vram", "min_share", "ok"),
    [(5 * GB, 90, True), (4_500_000_000, 90, True), (4_499_999_999, 90, False), (GB, 20, True)],
)
def test_share_is_held_against_the_wanted_one(size_vram, min_share, ok):
    seen = replace(HEALTHY, loaded=(replace(QWEN, size_vram=size_vram),))
    assert rows_of(seen, min_share=min_share)["share"].ok is ok


def test_every_loaded_model_must_lie_on_the_gpu():
    seen = replace(HEALTHY, loaded=(QWEN, Loaded("bge-m3:latest", GB, 0)))
    rows = rows_of(seen)
    assert broken(rows) == ["share"]
    assert "0.0% of bge-m3:latest in GPU memory" in rows["share"].found


def test_speed_is_told_with_the_share():
    seen = replace(HEALTHY, prompted=Prompted(41.234, None))
    assert rows_of(seen)["share"].found == (
        "100.0% of qwen2.5:7b-instruct in GPU memory, 41.2 tokens/s"
    )


def test_model_that_is_unloaded_again_is_judged_by_where_it_was():
    seen = replace(HEALTHY, loaded=(), prompted=Prompted(1.5, replace(QWEN, size_vram=0)))
    rows = rows_of(seen)
    assert broken(rows) == ["share"]
    assert not gate.judge(seen).on_gpu
    assert rows["memory"].found == "no model is loaded"


def test_nothing_loaded_is_no_fault():
    verdict = gate.judge(replace(HEALTHY, loaded=()))
    assert (verdict.ok, verdict.on_gpu) == (True, True)
    assert [row.found for row in verdict.rows[-2:]] == ["no model is loaded"] * 2


def test_model_that_may_run_on_the_cpu_is_no_fault_but_no_gpu():
    verdict = gate.judge(replace(HEALTHY, loaded=(replace(QWEN, size_vram=0),)), min_share=0)
    assert (verdict.ok, verdict.on_gpu) == (True, False)
    assert verdict.rows[-1].found == "no model lies in GPU memory"


WSL = replace(FACTS, platform="wsl2", pci_devices=0)


@pytest.mark.parametrize(
    ("smi", "pids", "ok", "found"),
    [
        # The memory in use is what there is to see; processes there are those of Windows.
        (replace(SMI, processes=()), (812,), True, "6.0 GB are in use"),
        (replace(SMI, processes=(Process(4, "GPU-a", "x", None),)), (812,), True, "6.0 GB are"),
        (replace(SMI, gpus=(replace(RTX, memory_used=3 * GB),)), (812,), False, "3.0 GB are in"),
        (replace(SMI, gpus=(replace(RTX, memory_used=None),)), None, True, "tells neither"),
    ],
)
def test_memory_on_wsl2(smi, pids, ok, found):
    seen = replace(HEALTHY, facts=replace(WSL, smi=smi), pids=pids)
    row = rows_of(seen)["memory"]
    assert row.ok is ok
    assert found in row.found


def test_driver_of_wsl2_is_mended_in_windows():
    seen = replace(HEALTHY, facts=replace(WSL, smi=Smi("/x", problem="driver_not_loaded")))
    assert "wsl --shutdown" in rows_of(seen)["driver"].remedy


def test_memory_of_the_wanted_gpus_counts():
    smi = Smi("/x", (replace(RTX, memory_used=0), SECOND))
    seen = replace(given(Injection("cdi", ("GPU-a",)), pids=None), facts=replace(FACTS, smi=smi))
    assert "0.0 GB are in use" in rows_of(seen)["memory"].found


@pytest.mark.parametrize("pids", [None, (812,)])
def test_process_counts_where_the_engine_tells_processes(pids):
    others = replace(SMI, processes=(Process(7, "GPU-a", "blender", GB),))
    row = rows_of(replace(facts(smi=others), pids=pids))["memory"]
    assert row.ok is (pids is None)

# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import injection
from ansible_collections.edgellm.host.plugins.module_utils.gpu.injection import Injection
from ansible_collections.edgellm.host.plugins.module_utils.gpu.smi import Gpu

GPUS = [Gpu(i, f"GPU-{i}", "x", "1", None, None) for i in range(2)]


def inspected(*requests, runtime="runc", visible="all", **host):
    return {
        "Image": "sha256:1234",
        "Config": {"Env": ["PATH=/bin", f"NVIDIA_VISIBLE_DEVICES={visible}", "OLLAMA_HOST=0"]},
        "HostConfig": {"DeviceRequests": list(requests) or None, "Runtime": runtime, **host},
    }


def cdi(*names):
    return {"Driver": "cdi", "Count": 0, "DeviceIDs": list(names), "Capabilities": None}


def gpus(count=0, ids=None):
    return {"Driver": "nvidia", "Count": count, "DeviceIDs": ids, "Capabilities": [["gpu"]]}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (inspected(cdi("nvidia.com/gpu=all")), Injection("cdi")),
        (inspected(cdi("nvidia.com/gpu=0", "x.com/nic=1")), Injection("cdi", ("0",))),
        (inspected(cdi("x.com/nic=1")), Injection()),
        (inspected(gpus(-1)), Injection("device_request")),
        (inspected(gpus(2)), Injection("device_request", count=2)),
        (inspected(gpus(ids=["GPU-1"])), Injection("device_request", ("GPU-1",))),
        (inspected(runtime="nvidia"), Injection("runtime", runtime="nvidia")),
        (
            inspected(runtime="nvidia", visible="0,GPU-1"),
            Injection("runtime", ("0", "GPU-1"), runtime="nvidia"),
        ),
        (inspected(runtime="nvidia", visible="void"), Injection()),
        # The image says so, but nobody listens.
        (inspected(), Injection()),
        ({"Config": None, "HostConfig": None}, Injection()),
    ],
)
def test_injection_is_read_from_what_the_engine_says(said, read):
    assert injection.read(said) == read


@pytest.mark.parametrize(
    ("given", "uuids"),
    [
        (Injection("cdi"), {"GPU-0", "GPU-1"}),
        (Injection("cdi", ("1",)), {"GPU-1"}),
        (Injection("cdi", ("GPU-9",)), {"GPU-9"}),
        (Injection("cdi", ("0:3",)), None),
        (Injection("device_request", count=1), None),
    ],
)
def test_wanted_gpus_are_told_by_uuid(given, uuids):
    assert injection.wanted(given, GPUS) == uuids


def test_trial_gets_exactly_the_same_and_nothing_else():
    said = inspected(
        cdi("nvidia.com/gpu=all"),
        Devices=[{"PathOnHost": "/dev/dxg"}],
        SecurityOpt=["label=disable"],
        Binds=["/srv/edgellm/data:/root/.ollama"],
        PortBindings={"11434/tcp": []},
    )
    assert injection.trial(said) == {
        "Image": "sha256:1234",
        "Entrypoint": ["nvidia-smi"],
        "Cmd": ["-L"],
        "Tty": True,
        "Env": ["NVIDIA_VISIBLE_DEVICES=all"],
        "Labels": {"host.edgellm.service": "gpu-trial"},
        "HostConfig": {
            "DeviceRequests": [cdi("nvidia.com/gpu=all")],
            "Devices": [{"PathOnHost": "/dev/dxg"}],
            "Runtime": "runc",
            "SecurityOpt": ["label=disable"],
            "NetworkMode": "none",
            "LogConfig": {"Type": "json-file", "Config": {}},
        },
    }


def test_trial_of_another_image_differs_in_nothing_else():
    said = inspected(gpus(-1))
    assert injection.trial(said, "cuda:12") == {**injection.trial(said), "Image": "cuda:12"}

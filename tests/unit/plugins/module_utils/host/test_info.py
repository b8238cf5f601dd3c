# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.host import docker_api, info

from tests.unit.fake_engine import container, serving, short_directory


@pytest.fixture
def root():
    """A small machine: memory, one mount, and docker-proxy on port 11434."""
    with short_directory() as directory:
        for name, text in {
            "proc/meminfo": "MemTotal: 1 kB\n",
            "proc/self/mountinfo": "22 1 0:21 / / rw - ext4 /dev/sda1 rw\n",
            "proc/net/tcp": "head\n 0: 0100007F:2CAA 0:0 0A 0:0 00:0 0 0 0 77 1\n",
            "proc/7/comm": "docker-proxy\n",
            "proc/7/cgroup": "0::/system.slice/docker.service\n",
        }.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (directory / "proc/7/fd").mkdir()
        (directory / "proc/7/fd/3").symlink_to("socket:[77]")
        yield directory


@pytest.fixture
def engine(root):
    with serving(root / docker_api.SOCKET) as engine:
        yield engine


def gather(root, **asked):
    return info.gather(info.Questions(**asked), str(root))


def test_port_of_docker_proxy_is_told_as_the_containers(root, engine):
    engine.contain(container("ollama", port=11434))
    assert gather(root, ports=[11434])["ports"] == {
        "11434": {
            "address": "127.0.0.1",
            "pid": 7,
            "process": "docker-proxy",
            "container": "ollama",
        }
    }


def test_port_published_without_a_proxy_is_held_too(root, engine):
    (root / "proc/net/tcp").write_text("head\n")
    engine.contain(container("ollama", port=11434))
    holder = gather(root, ports=[11434])["ports"]["11434"]
    assert holder == {
        "address": "127.0.0.1",
        "pid": None,
        "process": None,
        "container": "ollama",
    }


def test_process_inside_a_container_is_told_with_its_name(root, engine):
    host_networked = container("other")
    engine.contain(host_networked)
    (root / "proc/7/comm").write_text("ollama\n")
    (root / "proc/7/cgroup").write_text(f"0::/docker/{host_networked['Id']}\n")
    assert gather(root, ports=[11434])["ports"]["11434"]["container"] == "other"


def test_process_of_the_host_is_in_no_container(root, engine):
    (root / "proc/7/comm").write_text("ollama\n")
    holder = gather(root, ports=[11434])["ports"]["11434"]
    assert (holder["process"], holder["container"]) == ("ollama", None)


def test_containers_are_told_by_name_running_or_not(root, engine):
    engine.contain(container("ollama", state="exited"), container("else"))
    docker = gather(root, containers=["ollama", "gone"])["docker"]
    assert docker["running"] is True
    assert docker["version"] == "29.7.2"
    assert docker["networks"] == ["bridge", "edge"]
    assert docker["containers"]["gone"] is None
    assert docker["containers"]["ollama"]["state"] == "exited"
    assert docker["containers"]["ollama"]["project"] == "ollama"
    assert docker["containers"]["ollama"]["image"] == "ollama:1"


def test_engine_is_only_read(root, engine):
    gather(root, containers=["ollama"], ports=[11434])
    assert engine.asked
    assert all(line.startswith("GET ") for line in engine.asked)


def test_host_without_an_engine_says_so(root):
    docker = gather(root, containers=["ollama"])["docker"]
    assert docker == {
        "installed": False,
        "running": False,
        "version": None,
        "error": f"no engine listens on {docker_api.socket_path(str(root))}",
        "containers": {"ollama": None},
        "networks": [],
        "cdi_spec_dirs": [],
        "runtimes": [],
    }


@pytest.mark.parametrize(
    ("said", "spec_dirs", "runtimes"),
    [
        (
            {"CDISpecDirs": ["/etc/cdi"], "Runtimes": {"runc": {}, "nvidia": {}}},
            ["/etc/cdi"],
            ["nvidia", "runc"],
        ),
        ({"CDISpecDirs": None, "Runtimes": {"runc": {}}}, [], ["runc"]),
        ({}, [], []),
    ],
)
def test_ways_of_giving_a_container_a_gpu_are_told(root, engine, said, spec_dirs, runtimes):
    engine.answers["/info"] = said
    docker = gather(root)["docker"]
    assert (docker["cdi_spec_dirs"], docker["runtimes"]) == (spec_dirs, runtimes)


def test_paths_keep_the_names_they_were_asked_by(root):
    assert list(gather(root, paths=["/srv/edgellm/"])["paths"]) == ["/srv/edgellm/"]

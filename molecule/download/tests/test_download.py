# SPDX-License-Identifier: GPL-3.0-or-later
"""The downloader on real boxes: what is on the disk, and what the source was asked for."""

from __future__ import annotations

import json
import threading
import time
import urllib.request

import pytest

testinfra_hosts = ["ansible://bookworm", "ansible://box2"]

ORIGIN = "http://198.18.77.2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FILE = "/srv/models/smollm2.gguf"
PIECE = 16 * 1024 * 1024
ADDRESSES = {"bookworm": "198.18.77.21", "box2": "198.18.77.12"}
SOURCE = {
    "endpoint": f"{ORIGIN}/hf",
    "repo": "lab/SmolLM2-135M-Instruct-GGUF",
    "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
}


@pytest.fixture
def gguf_file(host):
    """Run the module for real: `gguf_file(dest=...)`."""

    def run(**options):
        arguments = json.dumps({**SOURCE, **options})
        return host.ansible("edgellm.host.gguf_file", arguments, check=False, become=False)

    return run


@pytest.fixture
def sent(host):
    """The bodies that the source sent to this box since the test began."""

    def ask(path):
        with urllib.request.urlopen(f"{ORIGIN}/_lab/record{path}", timeout=10) as answer:
            return answer.read().decode()

    mark = json.loads(ask("/mark"))["next"]
    mine = ADDRESSES[host.backend.host]

    def bodies():
        lines = [json.loads(line) for line in ask(f"?since={mark}").splitlines()]
        return [
            line["bytes"]
            for line in lines
            if line["client"] == mine and line["method"] == "GET" and "/hf-cdn/" in line["path"]
        ]

    return bodies


@pytest.fixture
def fresh(host):
    """A place of its own for a file."""
    host.check_output("rm -rf /srv/models/fresh")
    host.check_output("mkdir /srv/models/fresh")
    return "/srv/models/fresh/x.gguf"


def test_file_is_exactly_right_and_nothing_partial_is_left(host):
    file = host.file(FILE)
    assert (file.sha256sum, file.user, file.mode) == (SHA256, "www-data", 0o640)
    assert ".part" not in host.check_output("ls -a /srv/models")


def test_all_that_was_ordered_went_wrong():
    with urllib.request.urlopen(f"{ORIGIN}/_lab/faults", timeout=10) as answer:
        rules = json.load(answer)
    assert all(rule["fired"] == rule["count"] for rule in rules), rules


def test_a_file_that_is_there_costs_no_byte(gguf_file, sent):
    done = gguf_file(dest=FILE, owner="www-data", mode="0640")
    assert not done["changed"]
    assert (done["bytes_fetched"], sent()) == (0, [])


def test_damage_costs_what_is_damaged(host, gguf_file, sent):
    other = host.check_output("stat -c %%i %s", FILE)
    host.check_output("printf xxxx | dd of=%s bs=1 seek=40000000 conv=notrunc", FILE)
    done = gguf_file(dest=FILE, owner="www-data", mode="0640")
    assert done["changed"]
    assert done["bytes_fetched"] == sum(sent()) == PIECE
    file = host.file(FILE)
    assert (file.sha256sum, file.user, file.mode) == (SHA256, "www-data", 0o640)
    # Whoever linked the old file has the old one.
    assert host.check_output("stat -c %%i %s", FILE) != other


def test_what_curl_left_is_the_beginning(host, gguf_file, fresh):
    host.check_output("head -c 50000000 %s > %s", FILE, fresh)
    done = gguf_file(dest=fresh)
    assert host.file(fresh).sha256sum == SHA256
    assert done["bytes_reused"] == 50_000_000


def test_a_killed_download_goes_on_where_it_was(host, gguf_file, fresh):
    slow = threading.Thread(target=lambda: gguf_file(dest=fresh, max_rate=10_000_000))
    slow.start()
    deadline = time.monotonic() + 60
    while not (lock := host.run(f"cat {fresh}.*.lock")).stdout and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)
    host.check_output("kill -KILL %s", str(json.loads(lock.stdout)["pid"]))
    slow.join()
    assert not host.file(fresh).exists
    done = gguf_file(dest=fresh)
    assert host.file(fresh).sha256sum == SHA256
    assert done["bytes_reused"] > 5_000_000
    assert done["bytes_reused"] + done["bytes_fetched"] == done["size"]

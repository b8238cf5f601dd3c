# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module tells of a file, and how little of a remote one it fetches for that."""

from __future__ import annotations

import hashlib
import json
import struct

import gguf
import numpy as np
import pytest
from ansible_collections.edgellm.host.plugins.module_utils.download import patience

from lab.origin.app import create_app as create_origin
from tests.unit.file_server import COMMIT, Fault, FileServer

MIB = 1 << 20
TEMPLATE = "{% for m in messages %}小さい{{ m.content }}{% endfor %}"
VOCABULARY = 200_000
WEIGHTS = 64 * MIB


def write(path, fill, **how):
    """Write a file with the reference implementation."""
    writer = gguf.GGUFWriter(path, "llama", **how)
    fill(writer)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def fill(writer, *, tokens=10, kv_heads=2):
    writer.add_type("model")
    writer.add_name("Tiny")
    writer.add_file_type(7)
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_sliding_window(512)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(4.0)
    writer.add_rope_scaling_orig_ctx_len(512)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token {number:09}" for number in range(tokens)])
    writer.add_chat_template(TEMPLATE)
    q8_0 = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("token_embd.weight", np.zeros((32, 68), np.uint8), raw_dtype=q8_0)
    writer.add_tensor("blk.0.attn_norm.weight", np.zeros(64, np.float32))


SAID = {
    "version": 3,
    "type": "model",
    "architecture": "llama",
    "name": "Tiny",
    "parameter_count": 32 * 64 + 64,
    "file_type": "Q8_0",
    "weight_type": "Q8_0",
    "bytes_by_type": {"Q8_0": 32 * 68, "F32": 256},
    "tensor_count": 2,
    "tensor_bytes": 32 * 68 + 256,
    "context_length": 2048,
    "embedding_length": 64,
    "block_count": 2,
    "head_count": 4,
    "head_count_kv": 2,
    "key_length": 16,
    "value_length": 16,
    "sliding_window": 512,
    "expert_count": None,
    "expert_used_count": None,
    "rope": {
        "dimension_count": 16,
        "freq_base": 10000.0,
        "scaling_type": "yarn",
        "scaling_factor": 4.0,
        "original_context_length": 512,
    },
    "tokenizer_model": "gpt2",
    "vocabulary_size": 10,
    "chat_template": {
        "present": True,
        "sha256": hashlib.sha256(TEMPLATE.encode()).hexdigest(),
        "text": None,
    },
}


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """A file with a vocabulary of some MiB, and weights that nobody wants."""
    path = tmp_path_factory.mktemp("large") / "x.gguf"
    write(path, lambda writer: fill(writer, tokens=VOCABULARY))
    return path.read_bytes() + bytes(WEIGHTS)


@pytest.fixture
def server(monkeypatch, large):
    monkeypatch.setattr(patience, "BASE_SECONDS", 0.0)
    with FileServer(large).running() as server:
        yield server


@pytest.fixture
def tiny(tmp_path):
    return write(tmp_path / "tiny.gguf", fill)


@pytest.fixture
def look(run_module):
    return lambda **params: run_module("gguf_info", **params)


@pytest.fixture
def look_remote(look, server):
    """Look at the server's file, by default as one of a repository."""
    hub = {"repo": "n/r", "file": "x.gguf"}

    def look_remote(**params):
        return look(**({} if "url" in params else hub), endpoint=server.endpoint, **params)

    return look_remote


def split(folder):
    """Write a model of three tensors as three files, as the reference splits it."""
    folder.mkdir(parents=True, exist_ok=True)

    def fill_up(writer):
        writer.add_name("Split")
        writer.add_context_length(1024)
        for number in range(3):
            writer.add_tensor(f"blk.{number}.x", np.zeros((4, 64), np.float32))

    write(folder / "m.gguf", fill_up, split_max_tensors=1)
    return sorted(folder.iterdir())


# --- on the host ---------------------------------------------------------------------------------


@pytest.mark.parametrize("check_mode", [True, False])
def test_everything_that_the_file_says(look, tiny, check_mode):
    result = look(path=str(tiny), check_mode=check_mode)
    size = tiny.stat().st_size
    files = {"source": str(tiny), "size": size, "sha256": None, "tensor_count": 2}
    assert result["gguf"] == {"parts": [files], "commit": None, "size": size, **SAID}
    assert (result["changed"], result["bytes_fetched"]) == (False, 0)


def test_text_of_the_template_is_told_when_asked_for(look, tiny):
    assert look(path=str(tiny), template_text=True)["gguf"]["chat_template"]["text"] == TEMPLATE


def test_layers_may_differ(look, tmp_path):
    path = write(tmp_path / "x.gguf", lambda writer: fill(writer, kv_heads=[2, 0]))
    assert look(path=str(path))["gguf"]["head_count_kv"] == [2, 0]


def test_what_is_not_said_is_none(look, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    told = look(path=str(path))["gguf"]
    for key in ("type", "name", "weight_type", "context_length", "head_count", "vocabulary_size"):
        assert told[key] is None
    assert (told["architecture"], told["file_type"], told["size"]) == ("unknown", "unknown", 24)
    assert told["chat_template"] == {"present": False, "sha256": None, "text": None}
    assert set(told["rope"].values()) == {None}


def test_number_that_is_none_is_not_told(look, tmp_path):
    def odd(writer):
        writer.add_rope_freq_base(float("nan"))
        writer.add_rope_scaling_factor(float("inf"))

    rope = look(path=str(write(tmp_path / "x.gguf", odd)))["gguf"]["rope"]
    assert (rope["freq_base"], rope["scaling_factor"]) == (None, None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<html>", "it begins with b'<htm'"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "its version is 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 50, 0), "it claims 1125899906842624 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1), "it ends within its header"),
    ],
)
def test_damaged_header_is_refused(look, tmp_path, data, said):
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    assert f"{path} is not a whole GGUF file: {said}" in look(path=str(path), fails=True)["msg"]


def test_file_that_is_not_there(look, tmp_path):
    said = look(path=str(tmp_path / "x.gguf"), fails=True)["msg"]
    assert said == f"{tmp_path / 'x.gguf'} cannot be read: No such file or directory."


# --- at its source -------------------------------------------------------------------------------


def test_only_the_header_is_fetched(look_remote, server, large):
    result = look_remote()
    told = result["gguf"]
    assert {key: told[key] for key in SAID} == {**SAID, "vocabulary_size": VOCABULARY}
    assert told["parts"] == [
        {
            "source": f"{server.endpoint}/n/r/resolve/{COMMIT}/x.gguf",
            "size": len(large),
            "sha256": server.sha256,
            "tensor_count": 2,
        }
    ]
    assert (told["commit"], told["size"]) == (COMMIT, len(large))
    header = len(large) - WEIGHTS
    assert header <= server.sent == result["bytes_fetched"] <= 2 * header < 12 * MIB
    ranges = [seen.range for seen in server.requests()]
    assert ranges[:2] == [f"bytes=0-{MIB - 1}", f"bytes={MIB}-{2 * MIB - 1}"]
    assert None not in ranges
    assert len(ranges) == 4


def test_plain_address_is_read_without_telling_its_secret(look_remote, server, large):
    result = look_remote(url=f"{server.plain}?Signature=hush")
    assert result["gguf"]["parts"][0]["source"] == server.plain
    assert (result["gguf"]["commit"], result["gguf"]["size"]) == (None, len(large))
    server.faults.extend([Fault(status=404)] * 2)
    failed = look_remote(url=f"{server.plain}?Signature=hush", fails=True)
    assert f"{server.plain} answers 404" in failed["msg"]
    assert "hush" not in json.dumps([result, failed])


def test_address_without_a_secret_is_shown_as_it_is(look_remote, server):
    result = look_remote(url=server.plain)
    told = result["gguf"]["parts"][0]["source"]
    assert told == result["invocation"]["module_args"]["url"] == server.plain


def test_address_copied_from_a_page_is_understood(look_remote, server):
    result = look_remote(url=f"{server.endpoint}/n/r/blob/main/x.gguf?download=true")
    assert result["gguf"]["commit"] == COMMIT


def test_token_goes_to_the_endpoint_and_nowhere_else(look, server, large, monkeypatch):
    server.token = "hf_secret"
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with FileServer(large).running("127.0.0.2") as server.cdn:
        result = look(repo="n/r", file="x.gguf")
        assert {seen.headers.get("authorization") for seen in server.seen} == {"Bearer hf_secret"}
        assert {"authorization" in seen.headers for seen in server.cdn.seen} == {False}
        look(url=server.cdn.plain)
        assert {"authorization" in seen.headers for seen in server.cdn.seen} == {False}
    assert "hf_secret" not in json.dumps(result)
    assert "Signature" not in json.dumps(result)


def test_server_without_ranges_is_not_read_to_its_end(look_remote, server):
    server.ranges = False
    told = look_remote(url=server.plain)["gguf"]
    assert told["vocabulary_size"] == VOCABULARY
    assert max(seen.sent for seen in server.requests()) < WEIGHTS


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(after=100_000, end="cut"),
        Fault(after=100_000, end="reset"),
        Fault(status=403, body=b"expired"),
        Fault(shift=1),
        Fault(headers={"Content-Encoding": "gzip"}),
        Fault(headers={"Content-Type": "text/html"}),
    ],
    ids=repr,
)
def test_fault_that_passes_is_outlived(look_remote, server, fault):
    server.faults.append(fault)
    assert look_remote()["gguf"]["vocabulary_size"] == VOCABULARY


def test_fault_that_stays_is_told_without_promises(look_remote, server):
    server.faults.extend([Fault(headers={"Content-Type": "text/html"})] * 2)
    said = look_remote(url=server.plain, retries=1, fails=True)["msg"]
    assert "sends a web page (text/html)" in said
    assert "kept" not in said


def test_file_that_changes_meanwhile_is_not_mixed(look_remote, server):
    server.faults.extend([Fault(), *[Fault(headers={"ETag": '"two"'})] * 2])
    said = look_remote(url=server.plain, retries=1, fails=True)["msg"]
    assert "sends another version" in said


def test_remote_file_that_is_cut_is_refused(look_remote, server, large):
    server.content = large[: len(large) - WEIGHTS - 100]
    said = look_remote(fails=True)["msg"]
    assert f"n/r/x.gguf is not a whole GGUF file: it has {len(server.content)} bytes" in said


def test_remote_header_that_is_damaged_is_refused_after_one_request(look_remote, server):
    server.content = b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40) + bytes(WEIGHTS)
    said = look_remote(fails=True)["msg"]
    assert "n/r/x.gguf is not a whole GGUF file: it claims 1099511627776 keys" in said
    assert server.sent <= MIB


def test_file_that_the_source_does_not_have(look_remote, server):
    fault = Fault("HEAD", 404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "No entry"})
    server.faults.append(fault)
    said = look_remote(fails=True)["msg"]
    assert "answers 404 (No entry)" in said


# --- several files -------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [0, 2])
def test_split_model_is_one(look, tmp_path, named):
    files = split(tmp_path / "m")
    assert [file.name for file in files] == [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    told = look(path=str(files[named]))["gguf"]
    assert [part["source"] for part in told["parts"]] == [str(file) for file in files]
    assert [part["tensor_count"] for part in told["parts"]] == [1, 1, 1]
    assert told["size"] == sum(file.stat().st_size for file in files)
    assert (told["name"], told["context_length"]) == ("Split", 1024)
    assert (told["tensor_count"], told["parameter_count"]) == (3, 3 * 256)
    assert told["tensor_bytes"] == 3 * 1024


def test_missing_part_is_named(look, tmp_path):
    files = split(tmp_path / "m")
    files[1].unlink()
    said = look(path=str(files[0]), fails=True)["msg"]
    assert f"these are missing: {files[1]}. Download them" in said


def test_part_of_something_else_is_refused(look, tmp_path):
    files = split(tmp_path / "m")
    files[1].write_bytes(files[2].read_bytes())
    said = look(path=str(files[0]), fails=True)["msg"]
    assert f"{files[1]} should be part 2 of 3, and says that it is part 3 of 3" in said


def test_part_of_another_model_is_refused(look, tmp_path):
    files = split(tmp_path / "m")
    empty = write(tmp_path / "empty.gguf", lambda writer: marked(writer, number=1, count=3))
    files[1].write_bytes(empty.read_bytes())
    said = look(path=str(files[0]), fails=True)["msg"]
    assert "says that the model has 3 tensors, but its 3 files have 2" in said


def marked(writer, *, number, count):
    writer.add_uint16("split.no", number)
    writer.add_uint16("split.count", count)


def test_part_without_its_name_is_refused(look, tmp_path):
    files = split(tmp_path / "m")
    alone = files[1].rename(tmp_path / "x.gguf")
    said = look(path=str(alone), fails=True)["msg"]
    assert f"{alone} is part 2 of 3 of a model" in said
    assert "<name>-00002-of-00003.gguf" in said


def test_name_that_cannot_be(look, tmp_path):
    path = tmp_path / "m-00004-of-00003.gguf"
    assert look(path=str(path), fails=True)["msg"] == f"{path} cannot be part 4 of 3."


@pytest.fixture
def origin(served, tmp_path):
    """A hub and a plain file server that have a model in three files."""
    root = tmp_path / "origin"
    files = split(root / "hf" / "n" / "r" / "main" / "q8")
    (root / "files").symlink_to(files[0].parent)
    return served(create_origin(root), "hub"), files


def test_split_model_of_a_repository_is_one(look, origin, traffic):
    url, files = origin
    told = look(repo="n/r", file="q8/m-00002-of-00003.gguf", endpoint=f"{url}/hf")["gguf"]
    shas = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    assert [part["sha256"] for part in told["parts"]] == shas
    assert [part["source"].rpartition("/")[2] for part in told["parts"]] == [f.name for f in files]
    assert told["size"] == sum(file.stat().st_size for file in files)
    assert (told["tensor_count"], told["name"]) == (3, "Split")
    # One commit is found out, and everything else is of that one.
    assert [line for line in traffic.lines() if "/main/" in line] == [
        "HEAD /hf/n/r/resolve/main/q8/m-00001-of-00003.gguf"
    ]


def test_missing_part_of_a_repository_is_named(look, origin):
    url, files = origin
    files[2].unlink()
    said = look(repo="n/r", file="q8/m-00001-of-00003.gguf", endpoint=f"{url}/hf", fails=True)[
        "msg"
    ]
    assert "Of the 3 files of the model, number 3 is missing" in said
    assert "q8/m-00003-of-00003.gguf answers 404" in said


def test_split_model_behind_an_address_is_one(look, origin):
    url, _files = origin
    told = look(url=f"{url}/files/m-00001-of-00003.gguf?key=hush")["gguf"]
    assert [part["source"] for part in told["parts"]] == [
        f"{url}/files/m-0000{number}-of-00003.gguf" for number in (1, 2, 3)
    ]
    assert told["tensor_count"] == 3


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "one of the following is required: path, url, repo"),
        ({"path": "/x", "url": "http://localhost/x"}, "mutually exclusive: path|url|repo"),
        ({"repo": "n/r"}, "required together: repo, file"),
        ({"repo": "a/b/c", "file": "x"}, "is not a repository"),
        ({"url": "x.gguf"}, "must be http"),
    ],
)
def test_options_that_cannot_be(look, params, said):
    assert said in look(**params, fails=True)["msg"]

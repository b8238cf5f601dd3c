# SPDX-License-Identifier: GPL-3.0-or-later
"""Models by hard link, beside what a server makes of the same fields."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import struct
import time

import httpx
import pytest
from ansible_collections.edgellm.host.plugins.module_utils import gguf
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.gguf import Header, Tensor
from ansible_collections.edgellm.host.plugins.module_utils.ollama import link, manifest, names
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import OllamaError
from ansible_collections.edgellm.host.plugins.module_utils.ollama.link import Placed
from ansible_collections.edgellm.host.plugins.module_utils.ollama.store import Store

from lab.ollama.store import Store as ServerStore

NAME = names.parse("tiny")
DAY = 24 * 60 * 60
TEMPLATE = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
STOP = {"parameters": {"stop": ["<|im_end|>"]}}
FIELDS = {
    "template": TEMPLATE,
    "system": "あなたは <親切> & \u2028 'kind'.",
    "license": ["MIT", "Apache <2.0>"],
    "parameters": {
        "stop": ["<|im_end|>", 'a"b\\\n'],
        "temperature": 0.7,
        "num_ctx": 1024,
        "top_p": 1.0,
        "use_mmap": False,
        "seed": -1,
    },
    "messages": [
        {"role": "user", "content": "hi <you>"},
        {"role": "assistant", "content": ""},
    ],
    "renderer": "a",
    "parser": "b",
    "requires": "0.14.0",
}


@pytest.fixture
def file(tmp_path):
    """A downloaded GGUF file, some days old."""
    path = tmp_path / "files" / "tiny.gguf"
    path.parent.mkdir()
    kind, number = struct.pack("<I", 4), struct.pack("<I", 15)
    said = _text("general.architecture") + struct.pack("<I", 8) + _text("llama")
    said += _text("general.file_type") + kind + number
    tensor = _text("a") + struct.pack("<IQQIQ", 2, 1500, 1, 0, 0)
    start = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + said + tensor
    start += bytes(-len(start) % 32)
    path.write_bytes(start + bytes(6000))
    path.chmod(0o640)
    os.utime(path, (time.time() - DAY, time.time() - DAY))
    return path


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


@pytest.fixture
def linked(file):
    return make(file, FIELDS)


@pytest.fixture
def store(ollama):
    """The store of the server."""
    return Store(ollama.store)


def make(file, fields):
    content = file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return link.make(fields, gguf.read(file), sha256, len(content))


def create(ollama, file, fields, name="api"):
    """The same model as the server makes it."""
    content = file.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    httpx.post(f"{ollama.url}/api/blobs/{digest}", content=content, trust_env=False)
    body = {**fields, "model": name, "files": {"tiny.gguf": digest}, "stream": False}
    answer = httpx.post(f"{ollama.url}/api/create", json=body, trust_env=False)
    assert answer.json() == {"status": "success"}


def post(ollama, verb, **body):
    answer = httpx.post(f"{ollama.url}/api/{verb}", json=body, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


# --- judge ---------------------------------------------------------------------------------------


def header(architecture="llama", *, tensors=1, **metadata):
    said = {"general.architecture": architecture, f"{architecture}.block_count": 1}
    said |= {name.replace("__", "."): value for name, value in metadata.items()}
    return Header(3, said, (Tensor("a", (4,), 0, 0),) * tensors, 0)


CHATS = {"tokenizer__chat_template": "{{ messages }}"}
BOTH = {"template": TEMPLATE, **STOP}


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        (BOTH, header(**CHATS)),
        ({**FIELDS}, header(**CHATS)),
        (BOTH, header(general__type="model", split__count=1, **CHATS)),
        ({}, header()),
        ({"template": TEMPLATE}, header()),
        ({}, header("bert", bert__pooling_type=2, **CHATS)),
        ({**BOTH, "renderer": "a", "parser": "b"}, header("gemma4", **CHATS)),
    ],
)
def test_link_where_nothing_is_lost(fields, read):
    assert link.judge(fields, read) is None


@pytest.mark.parametrize(
    ("fields", "read", "reason"),
    [
        ({}, header(**CHATS), "no TEMPLATE and no PARAMETER stop, which Ollama looks up"),
        (STOP, header(**CHATS), "The Modelfile has no TEMPLATE, which"),
        ({"template": "x"}, header(**CHATS), "The Modelfile has no PARAMETER stop"),
        ({**STOP, "template": ""}, header(**CHATS), "no TEMPLATE, which"),
        ({**BOTH, "adapters": {}}, header(), "Ollama itself can carry out adapters."),
        ({**BOTH, "quantize": "Q8_0", "info": {}}, header(), "carry out info, quantize"),
        (BOTH, header(general__type="adapter"), "but of the type adapter"),
        (BOTH, header(general__type="mmproj"), "but of the type mmproj"),
        (BOTH, header("clip"), "but of the type clip"),
        (BOTH, header("x", **{"x.block_count": 0, "x.vision.block_count": 2}), "but a projector"),
        (BOTH, header(split__count=3), "one of 3 parts"),
        (BOTH, header(**{"llama.source_quantization": "hf_fp8"}), "FP8 weights"),
        (BOTH, header(tensors=0), "has no weights"),
        (BOTH, header("gemma4"), "no RENDERER and PARSER, which Ollama chooses by the"),
        ({**BOTH, "parser": "b"}, header("laguna"), "the architecture laguna"),
        (BOTH, header("nemotron_h_moe"), "the architecture nemotron_h_moe"),
    ],
)
def test_upload_where_something_would_be_lost(fields, read, reason):
    answer = link.judge(fields, read)
    assert reason in answer
    assert answer.endswith(".")


# --- make ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {},
        FIELDS,
        {"license": "one text"},
        {"license": ["same", "same"], "messages": [{"role": "User", "content": "x"}]},
        {"messages": [{"role": "assistant"}]},
    ],
    ids=["nothing", "all", "licence", "twice", "silent"],
)
def test_every_byte_is_as_the_server_writes_it(ollama, store, file, fields):
    create(ollama, file, fields)
    linked = make(file, fields)
    written = store.manifest(names.parse("api")).read_bytes()
    assert linked.manifest + b"\n" == written
    for text in linked.texts:
        assert store.blob(text.layer.digest).read_bytes() == text.content


def test_layers_have_the_order_of_the_servers(linked):
    kinds = [
        layer.media_type.rpartition(".")[2] for layer in manifest.parse(linked.manifest).layers
    ]
    weights, template, system, *licenses, params, messages, config = kinds
    assert (weights, template, system) == ("model", "template", "system")
    assert (licenses, params, messages) == (["license"] * 2, "params", "messages")
    assert config == "v1+json"


def test_texts_are_what_go_writes(linked):
    by_kind = {text.layer.media_type.rpartition(".")[2]: text.content for text in linked.texts}
    assert by_kind["template"] == TEMPLATE.encode()
    assert by_kind["system"] == FIELDS["system"].encode()
    assert by_kind["params"] == (
        b'{"num_ctx":1024,"seed":-1,'
        b'"stop":["\\u003c|im_end|\\u003e","a\\"b\\\\\\n"],"temperature":0.7,"top_p":1,'
        b'"use_mmap":false}\n'
    )
    assert by_kind["messages"] == (
        b'[{"role":"user","content":"hi \\u003cyou\\u003e"},{"role":"assistant","content":""}]\n'
    )
    assert by_kind["v1+json"] == (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],'
        b'"model_type":"2K","file_type":"Q4_K_M","renderer":"a","parser":"b","requires":"0.14.0",'
        b'"architecture":"amd64","os":"linux"}\n'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (0.00005, "0.00005"),
        (1e-6, "0.000001"),
        (9.5e-7, "9.5e-7"),
        (1e-10, "1e-10"),
        (123456789.0, "123456789"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (2**60, "1152921504606847000"),
        (2**63 - 1, "9223372036854776000"),
        (True, "true"),
        ("\x00\x1f\x7f\b\f\r\t", '"\\u0000\\u001f\x7f\\b\\f\\r\\t"'),
        ("\u2028\u2029é😀", '"\\u2028\\u2029é😀"'),
    ],
)
def test_parameter_in_json(file, value, text):
    linked = make(file, {"parameters": {"x": value}})
    assert linked.texts[0].content.decode() == f'{{"x":{text}}}\n'


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1500, "2K"),
        (999_999, "1000K"),
        (10**6, "1M"),
        (134_515_008, "134.52M"),
        (999_999_999, "1000.00M"),
        (10**9, "1B"),
        (8_030_261_248, "8.0B"),
        (70_553_706_496, "70.6B"),
    ],
)
def test_number_of_parameters_as_the_server_tells_it(count, text):
    read = Header(3, {"general.architecture": "x"}, (Tensor("a", (count,), 0, 0),), 0)
    config = json.loads(link.make({}, read, "a" * 64, 1).texts[-1].content)
    assert config["model_type"] == text
    assert (config["model_family"], config["file_type"]) == ("x", "unknown")


def test_full_precision_has_no_name_to_a_server():
    read = header(general__file_type=0)
    assert read.file_type == "F32"
    assert json.loads(link.make({}, read, "a" * 64, 1).texts[-1].content)["file_type"] == "unknown"


@pytest.mark.parametrize("length", range(60))
def test_digest_is_of_every_byte_whatever_their_number(file, length):
    # A newline at the end would be left out by a server for some lengths.
    linked = make(file, {"license": ["x"] * length})
    assert linked.manifest.endswith(b"}]}")
    assert linked.digest == hashlib.sha256(linked.manifest).hexdigest()
    assert linked.size == manifest.parse(linked.manifest).size


# --- apply ---------------------------------------------------------------------------------------


def entries(store):
    """Everything in the store that is no directory."""
    return {path.relative_to(store.root) for path in store.root.rglob("*") if not path.is_dir()}


def expected(store, linked, name=NAME):
    digests = [linked.weights.digest, *(text.layer.digest for text in linked.texts)]
    paths = {store.blob(digest) for digest in digests} | {store.manifest(name)}
    return {path.relative_to(store.root) for path in paths}


def test_model_is_there_at_once_and_the_file_is_what_it_was(ollama, store, file, linked):
    before = file.stat()
    assert not link.present(store, NAME, linked)
    assert link.apply(store, NAME, linked, file) == Placed("linked")
    assert link.present(store, NAME, linked)

    assert ollama.tags() == {"tiny:latest": linked.digest}
    shown = post(ollama, "show", model="tiny")
    assert (shown["system"], shown["template"]) == (FIELDS["system"], TEMPLATE)
    assert shown["details"]["parameter_size"] == "2K"
    after, blob = file.stat(), store.blob(linked.weights.digest).stat()
    assert (after.st_ino, after.st_nlink) == (blob.st_ino, 2)
    assert after.st_mtime_ns == before.st_mtime_ns
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    assert entries(store) == expected(store, linked)


def test_modes_are_those_of_the_servers_own_files(tmp_path, file, linked):
    root = tmp_path / "store"
    root.mkdir()
    old = os.umask(0o077)
    try:
        link.apply(Store(root), NAME, linked, file)
    finally:
        os.umask(old)
    for path in root.rglob("*"):
        mode = path.stat().st_mode & 0o777
        if path.is_dir():
            assert mode == 0o755
        else:
            assert mode == (0o640 if path.samefile(file) else 0o644)


# Only root may give files away.
if os.geteuid() == 0:

    def test_what_is_made_belongs_to_the_owner_of_the_store(tmp_path, file, linked):
        root = tmp_path / "store"
        root.mkdir()
        os.chown(root, 1234, 1235)
        # Its server could neither read nor touch a file of root's, so it gets one of its own.
        placed = link.apply(Store(root), NAME, linked, file)
        assert placed == Placed("copied", "the file belongs to another user than the store")
        assert {(path.stat().st_uid, path.stat().st_gid) for path in root.rglob("*")} == {
            (1234, 1235)
        }
        assert (file.stat().st_uid, file.stat().st_nlink) == (os.geteuid(), 1)

    def test_file_of_the_stores_owner_is_linked(tmp_path, file, linked):
        root = tmp_path / "store"
        root.mkdir()
        for path in (root, file):
            os.chown(path, 1234, 1235)
        assert link.apply(Store(root), NAME, linked, file) == Placed("linked")


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EXDEV, "the file and the store lie on different mounts"),
        (errno.EPERM, "the file system or the kernel forbids this link"),
        (errno.EMLINK, "the file has as many links as its file system allows"),
        (errno.EOPNOTSUPP, "the file system knows no links"),
    ],
)
@pytest.mark.parametrize("copies", [None, errno.EXDEV, errno.ENOSYS])
def test_copy_where_no_link_can_be(monkeypatch, store, file, linked, number, why, copies):
    monkeypatch.setattr(os, "link", failing(number))
    if copies:
        monkeypatch.setattr(os, "copy_file_range", failing(copies))
    assert link.apply(store, NAME, linked, file) == Placed("copied", why)
    blob = store.blob(linked.weights.digest)
    assert blob.read_bytes() == file.read_bytes()
    assert (blob.stat().st_mode & 0o777, file.stat().st_nlink) == (0o644, 1)
    assert entries(store) == expected(store, linked)


@pytest.mark.parametrize(("function", "number"), [("link", errno.EIO), ("fsync", errno.ENOSPC)])
def test_failure_says_what_and_where(monkeypatch, ollama, store, file, linked, function, number):
    store.root.mkdir(exist_ok=True)
    monkeypatch.setattr(os, function, failing(number))
    with pytest.raises(OllamaError, match=f"tiny:latest cannot be put into the store {store.root}"):
        link.apply(store, NAME, linked, file)
    assert ollama.tags() == {}


def failing(number):
    def fail(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def test_file_that_is_another_one_meanwhile_is_refused(store, file, linked):
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(Refused, match=r"is not the file of \d+ bytes that was verified"):
        link.apply(store, NAME, linked, file)
    file.unlink()
    with pytest.raises(Refused, match="cannot be read: No such file or directory"):
        link.apply(store, NAME, linked, file)


def test_store_that_does_not_exist_is_refused(tmp_path, file, linked):
    with pytest.raises(Refused, match="is no directory, so it is no store"):
        link.apply(Store(tmp_path / "nowhere"), NAME, linked, file)


def test_file_may_be_named_by_a_symbolic_link(store, file, linked):
    other = file.with_name("other.gguf")
    other.symlink_to(file)
    assert link.apply(store, NAME, linked, other) == Placed("linked")
    assert store.blob(linked.weights.digest).samefile(file)
    assert not store.blob(linked.weights.digest).is_symlink()


def test_uploaded_blob_is_kept(ollama, store, file, linked):
    create(ollama, file, {})
    blob = store.blob(linked.weights.digest)
    before = blob.stat()
    assert link.apply(store, NAME, linked, file) == Placed("kept")
    assert (blob.stat().st_ino, blob.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert ollama.tags()["tiny:latest"] == linked.digest


def test_half_a_blob_is_replaced_and_never_written_to(store, file, linked, tmp_path):
    blob = store.blob(linked.weights.digest)
    blob.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "half").write_bytes(b"half")
    os.link(tmp_path / "half", blob)
    assert link.apply(store, NAME, linked, file) == Placed("linked")
    assert blob.samefile(file)
    assert (tmp_path / "half").read_bytes() == b"half"


def test_second_time_changes_nothing(ollama, store, file, linked):
    link.apply(store, NAME, linked, file)
    assert link.apply(store, NAME, linked, file) == Placed("kept")
    assert link.present(store, NAME, linked)
    assert entries(store) == expected(store, linked)
    assert file.stat().st_nlink == 2


def test_other_model_under_the_name_keeps_its_blobs(ollama, store, file, linked):
    create(ollama, file, {"system": "old"}, "tiny")
    before = entries(store)
    link.apply(store, NAME, linked, file)
    assert ollama.tags() == {"tiny:latest": linked.digest}
    assert before < entries(store)


@pytest.mark.parametrize("missing", ["manifest", "weights", "text", "cut", "other"])
def test_half_a_model_is_not_present(store, file, linked, missing):
    link.apply(store, NAME, linked, file)
    text = store.blob(linked.texts[0].layer.digest)
    if missing == "other":
        store.manifest(NAME).write_bytes(linked.manifest + b"\n")
    elif missing == "cut":
        text.write_bytes(b"")
    else:
        weights = store.blob(linked.weights.digest)
        {"manifest": store.manifest(NAME), "weights": weights, "text": text}[missing].unlink()
    assert not link.present(store, NAME, linked)
    link.apply(store, NAME, linked, file)
    assert link.present(store, NAME, linked)


class Killed(BaseException):
    pass


class Death:
    """Kills the process with the nth change of the file system: nothing happens from then on."""

    def __init__(self, monkeypatch) -> None:
        self.left = 10**9
        monkeypatch.setattr(os, "fsync", lambda _handle: None)
        for name in ("link", "unlink", "replace", "mkdir", "chmod", "fsync", "copy_file_range"):
            monkeypatch.setattr(os, name, self._deadly(getattr(os, name)))

    def _deadly(self, function):
        def call(*args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return function(*args, **kwargs)

        return call


@pytest.mark.parametrize("links", [True, False], ids=["linked", "copied"])
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "replaced"])
def test_broken_off_anywhere_it_is_the_old_or_the_new(
    monkeypatch, tmp_path, file, linked, links, is_new
):
    if not links:
        monkeypatch.setattr(os, "link", failing(errno.EXDEV))
    death = Death(monkeypatch)
    old = link.Linked(linked.weights, linked.texts[:1], linked.manifest + b"\n")
    for count in range(200):
        store = Store(tmp_path / str(count))
        store.root.mkdir()
        if not is_new:
            link.apply(store, NAME, old, file)
            # As if that had other weights.
            store.blob(linked.weights.digest).unlink()
        death.left = count
        with contextlib.suppress(Killed):
            link.apply(store, NAME, linked, file)
        is_complete = death.left >= 0
        death.left = 10**9

        found = {model.manifest.digest for model in ServerStore(store.root).installed()}
        assert found == {linked.digest} or found == (set() if is_new else {old.digest})
        if found == {linked.digest}:
            assert link.present(store, NAME, linked)
        link.apply(store, NAME, linked, file)
        assert link.present(store, NAME, linked)
        # And nothing but what has its proper name is left.
        assert entries(store) == expected(store, linked)
        if is_complete:
            break
    assert 20 < count < 100


def test_server_that_starts_in_between_is_survived(monkeypatch, store, file, linked):
    server, true_link = ServerStore(store.root), os.link

    def link_and_start(source, staged):
        true_link(source, staged)
        monkeypatch.setattr(os, "link", true_link)
        # The link is as old as the file, and no manifest names it yet.
        server.tidy(prune=True)

    monkeypatch.setattr(os, "link", link_and_start)
    assert link.apply(store, NAME, linked, file) == Placed("linked")
    assert link.present(store, NAME, linked)
    assert entries(store) == expected(store, linked)


def test_what_is_taken_away_at_once_is_told(monkeypatch, store, file, linked):
    true_link = os.link

    def link_in_vain(source, staged):
        true_link(source, staged)
        ServerStore(store.root).tidy(prune=True)

    monkeypatch.setattr(os, "link", link_in_vain)
    with pytest.raises(OllamaError, match="something else takes its files away at once"):
        link.apply(store, NAME, linked, file)
    assert not store.manifest(NAME).exists()


# --- afterwards ----------------------------------------------------------------------------------


def test_start_of_a_server_with_pruning_leaves_it(ollama, store, file, linked):
    link.apply(store, NAME, linked, file)
    for path in store.blobs.iterdir():
        os.utime(path, (time.time() - DAY, time.time() - DAY))
    ServerStore(store.root).tidy(prune=True)
    assert link.present(store, NAME, linked)
    assert entries(store) == expected(store, linked)


def test_removed_model_leaves_the_file(ollama, store, file, linked):
    content = file.read_bytes()
    link.apply(store, NAME, linked, file)
    ollama.delete("tiny")
    assert entries(store) == set()
    assert (file.read_bytes(), file.stat().st_nlink) == (content, 1)


def test_model_of_the_same_file_made_by_the_server_shares_it(ollama, store, file, linked):
    link.apply(store, NAME, linked, file)
    before = file.stat()
    create(ollama, file, {"system": "another"}, "other")
    assert store.blob(linked.weights.digest).samefile(file)
    # The server touches what it uses again, and that is the same inode.
    assert file.stat().st_mtime > before.st_mtime
    assert link.present(store, NAME, linked)
    ollama.delete("tiny")
    assert ollama.tags().keys() == {"other:latest"}
    assert store.blob(linked.weights.digest).samefile(file)


def test_header_of_an_open_file_will_do():
    read = gguf.read(io.BytesIO(b"GGUF" + struct.pack("<IQQ", 3, 0, 0)))
    assert link.judge({}, read) is not None

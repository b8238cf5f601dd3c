# SPDX-License-Identifier: GPL-3.0-or-later
"""The header reader beside the reference implementation, and against damaged files."""

from __future__ import annotations

import io
import struct

import gguf as reference
import numpy as np
import pytest
from ansible_collections.edgellm.host.plugins.module_utils import gguf
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.gguf import Array, NotGGUF, Tensor, read

TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"

SCALARS = {
    "uint8": 255,
    "int8": -1,
    "uint16": 65535,
    "int16": -2,
    "int32": -3,
    "uint64": 2**63,
    "int64": -(2**62),
    "float64": 0.1,
    "bool": True,
}


@pytest.fixture
def file(tmp_path):
    """A small file with a value of every type."""
    path = tmp_path / "x.gguf"
    writer = reference.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name("小さい model")
    writer.add_file_type(3)
    writer.add_context_length(2048)
    writer.add_embedding_length(64)
    writer.add_block_count(1)
    writer.add_head_count_kv([4, 0, 4])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_chat_template(TEMPLATE)
    writer.add_token_list([f"token {number}" for number in range(5000)])
    writer.add_token_scores([0.5] * 5000)
    writer.add_token_merges(["a b", "ab c"])
    for name, value in SCALARS.items():
        getattr(writer, f"add_{name}")(f"x.{name}", value)
    writer.add_tensor("token_embd.weight", np.zeros((16, 64), dtype=np.float32))
    writer.add_tensor("blk.0.ffn_up.weight", np.zeros((4, 64), dtype=np.float16))
    writer.add_tensor(
        "output.weight",
        np.zeros((2, 40), dtype=np.uint8),
        raw_dtype=reference.GGMLQuantizationType.Q4_1,
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def head(*values: bytes, version: int = 3, tensors: int = 0, keys: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + b"".join(values)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def entry(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, offset)


def test_it_reads_what_the_reference_reads(file):
    header, expected = read(file), reference.GGUFReader(file)
    for name, value in header.metadata.items():
        contents = expected.fields[name].contents()
        if isinstance(value, Array):
            assert value.length == len(contents)
            assert list(value.items) in (contents, [])
        else:
            assert value == contents
            assert type(value) is type(contents)
    assert len(header.metadata) == len([name for name in expected.fields if "GGUF." not in name])
    assert header.data_offset == expected.data_offset
    for tensor, other in zip(header.tensors, expected.tensors, strict=True):
        assert (tensor.name, tensor.type) == (other.name, other.tensor_type.name)
        assert (tensor.elements, tensor.size) == (other.n_elements, other.n_bytes)
        assert header.data_offset + tensor.offset == other.data_offset


def test_what_is_asked_for_has_a_name(file):
    header = read(str(file))
    assert (header.architecture, header.name, header.type) == ("llama", "小さい model", "model")
    assert (header.file_type, header.version) == ("Q4_1", 3)
    assert (header.context_length, header.embedding_length, header.block_count) == (2048, 64, 1)
    assert (header.chat_template, header.pooling_type, header.split_count) == (TEMPLATE, None, 1)
    assert header.parameter_count == 16 * 64 + 4 * 64 + 2 * 64
    assert header.tensor_bytes == 4 * 16 * 64 + 2 * 4 * 64 + 2 * 40
    assert header.bytes_by_type == {"F32": 4 * 16 * 64, "F16": 2 * 4 * 64, "Q4_1": 2 * 40}
    assert list(header.bytes_by_type) == ["F32", "F16", "Q4_1"]
    assert (header.vocabulary_size, header.split_number) == (5000, 0)
    assert header.per_layer("block_count") == 1
    assert header.per_layer("attention.head_count_kv") == (4, 0, 4)
    assert header.end == header.data_offset + header.tensors[-1].offset + 80
    assert header.metadata["llama.attention.head_count_kv"] == Array(3, (4, 0, 4))
    assert header.metadata["tokenizer.ggml.tokens"] == Array(5000)


def test_header_that_says_nothing():
    header = read(io.BytesIO(head()))
    assert (header.architecture, header.name, header.type) == ("unknown", "", "")
    assert (header.file_type, header.chat_template) == ("unknown", "")
    assert (header.context_length, header.pooling_type, header.split_count) == (None, None, 1)
    assert (header.parameter_count, header.tensor_bytes, header.end) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("general.file_type", 0, "file_type", "F32"),
        ("general.file_type", 15, "file_type", "Q4_K_M"),
        ("general.file_type", 4711, "file_type", "unknown"),
        ("unknown.pooling_type", 0, "pooling_type", 0),
        ("split.count", 3, "split_count", 3),
        ("unknown.split.count", 2, "split_count", 2),
        ("split.no", 1, "split_number", 1),
        ("unknown.split.no", 2, "split_number", 2),
    ],
)
def test_numbers(name, value, attribute, expected):
    header = read(io.BytesIO(head(key(name, 4, struct.pack("<I", value)), keys=1)))
    assert getattr(header, attribute) == expected


def test_value_of_another_type_than_expected_is_as_if_it_were_missing():
    said = (key("general.name", 7, b"\1"), key("general.file_type", 7, b"\1"))
    header = read(io.BytesIO(head(*said, keys=2)))
    assert (header.name, header.file_type) == ("", "unknown")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (4, struct.pack("<I", 7), 7),
        (12, struct.pack("<d", 0.5), 0.5),
        (12, struct.pack("<d", float("nan")), None),
        (12, struct.pack("<d", float("-inf")), None),
        (7, b"\1", None),
        (8, text("7"), None),
    ],
)
def test_real_numbers(kind, value, expected):
    assert read(io.BytesIO(head(key("x", kind, value), keys=1))).real("x") == expected


@pytest.mark.parametrize(
    ("kind", "count", "items", "expected"),
    [
        (4, 2, struct.pack("<II", 1, 0), (1, 0)),
        (4, 0, b"", None),
        (7, 2, b"\1\0", None),
        (0, 5000, bytes(5000), None),
    ],
)
def test_numbers_per_layer(kind, count, items, expected):
    value = struct.pack("<IQ", kind, count) + items
    header = read(io.BytesIO(head(key("unknown.x", 9, value), keys=1)))
    assert header.per_layer("x") == expected


def test_items_of_many_arrays_are_not_kept_without_end():
    each = struct.pack("<IQ", 0, gguf.MAX_ITEMS) + bytes(gguf.MAX_ITEMS)
    many = gguf.MAX_KEPT // gguf.MAX_ITEMS + 2
    header = read(io.BytesIO(head(*(key(f"{n}", 9, each) for n in range(many)), keys=many)))
    kept = [len(value.items) for value in header.metadata.values() if isinstance(value, Array)]
    assert kept == [gguf.MAX_ITEMS] * (many - 2) + [0, 0]


def test_tables_are_those_of_the_reference():
    for number, (name, block, size) in gguf.TENSOR_TYPES.items():
        if number in list(reference.GGMLQuantizationType):
            kind = reference.GGMLQuantizationType(number)
            assert (kind.name, reference.GGML_QUANT_SIZES[kind]) == (name, (block, size))
    for number, name in gguf.FILE_TYPES.items():
        if number in list(reference.LlamaFileType):
            known = reference.LlamaFileType(number).name
            assert known.removeprefix("MOSTLY_").removeprefix("ALL_") == name
    assert {"F32", "Q4_K", "Q8_0", "BF16"} <= {name for name, *_ in gguf.TENSOR_TYPES.values()}
    assert {"F16", "Q4_K_M", "Q8_0", "BF16"} <= set(gguf.FILE_TYPES.values())


def test_type_of_tomorrow_has_no_size():
    header = read(io.BytesIO(head(entry("a", (64,), 4711, 32), tensors=1)))
    assert header.tensors == (Tensor("a", (64,), 4711, 32),)
    assert (header.tensors[0].type, header.tensors[0].size) == ("unknown", None)
    assert header.tensor_bytes is None
    assert header.end == header.data_offset + 32


def test_alignment_of_the_file_counts():
    said = key("general.alignment", 4, struct.pack("<I", 4096))
    assert read(io.BytesIO(head(said, keys=1))).data_offset == 4096


def test_open_file_may_end_with_its_header_and_stand_anywhere(file):
    whole = file.read_bytes()
    start = io.BytesIO(b"before" + whole[: read(file).data_offset])
    start.seek(6)
    assert read(start) == read(file)


def test_file_that_comes_in_drops(file):
    class Drops(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7))

    assert read(Drops(file.read_bytes())) == read(file)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "it ends within its header, after 0 bytes"),
        (b"<html>", "it begins with b'<htm'"),
        (head(version=1), "its version is 1, and only 2 and 3 are known"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "its version is 50331648"),
        (head(keys=1 << 17), "it claims 131072 keys, and 65536 is the most"),
        (head(tensors=1 << 60), "it claims 1152921504606846976 tensors"),
        (head(struct.pack("<Q", 1 << 40), keys=1), "1099511627776 bytes in one text"),
        (head(key("k", 77, bytes(60)), keys=1), "a value of the type 77, which does not exist"),
        (head(key("k", 9, struct.pack("<IQ", 9, 1)), keys=1), "a value of the type 9"),
        (head(key("k", 9, struct.pack("<IQ", 4, 1 << 60)), keys=1), "items in one array"),
        (head(key("k", 9, struct.pack("<IQ", 8, 1 << 20)), keys=1), "it ends within its header"),
        (head(key("k", 9, struct.pack("<IQ", 4, 1 << 20)), keys=1), "it ends within its header"),
        (head(entry("a", (1,) * 5), tensors=1), "its tensor 'a' has 5 dimensions"),
        (head(entry("a", (1 << 40, 1 << 40)), tensors=1), "its tensor 'a' is larger than any file"),
        (head(entry("a", (1,), offset=2**64 - 1), tensors=1), "'a' is larger than any file"),
        (head(key("general.alignment", 4, bytes(4)), keys=1), "its alignment is 0"),
        (head(key("general.alignment", 8, text("x")), keys=1), "its alignment is x"),
    ],
)
def test_damaged_files(tmp_path, data, complaint):
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(NotGGUF) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path} is not a whole GGUF file: ")
    assert complaint in str(caught.value)


def test_every_cut_is_noticed(tmp_path, file):
    whole = file.read_bytes()
    path = tmp_path / "cut.gguf"
    for length in [*range(0, 600, 7), read(file).data_offset, len(whole) - 100]:
        path.write_bytes(whole[:length])
        with pytest.raises(NotGGUF, match="not a whole GGUF file"):
            read(path)


def test_cut_in_the_weights_says_what_is_missing(file):
    end = read(file).end
    with file.open("r+b") as opened:
        opened.truncate(end - 1)
    with pytest.raises(NotGGUF, match=f"has {end - 1} bytes, but its tensors need {end}"):
        read(file)


def test_header_that_never_ends_is_given_up():
    class Endless:
        rest = head(keys=1000)
        given = 0

        def read(self, size):
            if len(self.rest) < size:
                self.rest += key("k", 8, text("x" * (8 << 20)))
            piece, self.rest = self.rest[:size], self.rest[size:]
            self.given += len(piece)
            return piece

    endless = Endless()
    with pytest.raises(NotGGUF, match="its header has more than 128 MiB"):
        read(endless)
    assert endless.given <= gguf.MAX_HEADER + (2 << 20)


def test_file_that_cannot_be_read(tmp_path):
    with pytest.raises(Refused, match="cannot be read: No such file or directory"):
        read(tmp_path / "x.gguf")

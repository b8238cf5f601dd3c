# SPDX-License-Identifier: GPL-3.0-or-later
"""The header reader against the reference implementation, and against damaged files."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import pytest

from lab.ollama.gguf_header import NotGGUF, read_header


def test_it_reads_what_the_reference_reads(tiny_gguf: Path) -> None:
    header, reference = read_header(tiny_gguf), gguf.GGUFReader(tiny_gguf)
    for key, item in header.kv.items():
        expected = reference.fields[key].contents()
        assert item == (pytest.approx(expected) if isinstance(expected, float) else expected)
    assert header.kv["llama.attention.layer_norm_rms_epsilon"] == 1e-05
    assert (header.architecture, header.file_type, header.parameter_count) == ("llama", "Q4_1", 64)
    assert [tensor.name for tensor in header.tensors] == ["token_embd.weight"]
    assert header.data_offset == reference.data_offset
    assert header.of_architecture("context_length") == 64


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGML" + bytes(60),
        b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 40) + bytes(60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 77) + bytes(60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 4, 1 << 20),
    ],
    ids=["empty", "magic", "version", "many keys", "long key", "type", "long array"],
)
def test_damaged_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    with pytest.raises(NotGGUF):
        read_header(path)


def test_every_cut_is_noticed(tmp_path: Path, tiny_gguf: Path) -> None:
    whole, end = tiny_gguf.read_bytes(), read_header(tiny_gguf).tensors_end
    for length in range(4, end, 7):
        path = tmp_path / f"{length}.gguf"
        path.write_bytes(whole[:length])
        with pytest.raises(NotGGUF):
            read_header(path)

# SPDX-License-Identifier: GPL-3.0-or-later
"""A small bounded reader of GGUF headers: metadata and tensor names, never the weights."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import struct
import typing as t
from pathlib import Path

MAGIC = b"GGUF"
MAX_STRING = 16 << 20
MAX_ENTRIES = 1 << 20
MAX_ARRAY = 1 << 26
MAX_DIMENSIONS = 8
DEFAULT_ALIGNMENT = 32

_SCALARS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_FLOAT32, _STRING, _ARRAY = 6, 8, 9

FILE_TYPES = {
    1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip
TENSOR_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
    23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip


class NotGGUF(Exception):
    """The file is no GGUF file, or a damaged one."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One entry of the tensor table."""

    name: str
    shape: tuple[int, ...]
    kind: int

    @property
    def type_name(self) -> str:
        return TENSOR_TYPES.get(self.kind, "unknown")


@dataclasses.dataclass(frozen=True)
class Header:
    """What the head of a GGUF file says."""

    version: int
    kv: dict[str, t.Any]
    tensors: tuple[Tensor, ...]
    insert_at: int
    kv_end: int
    tensors_end: int
    data_offset: int

    @property
    def architecture(self) -> str:
        return str(self.kv.get("general.architecture", "unknown"))

    @property
    def parameter_count(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        """The quantization; as in the real server, 0 for F32 is taken for a missing number."""
        return FILE_TYPES.get(self.kv.get("general.file_type", -1), "unknown")

    def of_architecture(self, key: str) -> t.Any:
        """Return the value of `<architecture>.<key>`, or None."""
        return self.kv.get(f"{self.architecture}.{key}")


class _Reader:
    def __init__(self, file: t.BinaryIO) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size

    def take(self, count: int) -> bytes:
        data = self.file.read(count)
        if len(data) != count:
            raise NotGGUF("unexpected EOF")
        return data

    def number(self, code: str) -> t.Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self) -> str:
        return self.take(self._bounded(self.number("Q"), MAX_STRING)).decode("utf-8", "replace")

    def count(self, limit: int) -> int:
        return self._bounded(self.number("Q"), limit)

    def value(self, kind: int) -> t.Any:
        if kind == _FLOAT32:
            return _shortest(self.number("f"))
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            inner = self.number("I")
            return self._array(inner, self.count(MAX_ARRAY))
        raise NotGGUF(f"invalid type: {kind}")

    def _array(self, kind: int, length: int) -> list[t.Any]:
        if kind in _SCALARS:
            code = f"<{length}{_SCALARS[kind]}"
            return list(struct.unpack(code, self.take(struct.calcsize(code))))
        if kind == _STRING:
            return [self.text() for _ in range(length)]
        raise NotGGUF(f"invalid array type: {kind}")

    def _bounded(self, number: int, limit: int) -> int:
        if number > min(limit, self.size):
            raise NotGGUF(f"length {number} exceeds what the file can hold")
        return number


def _shortest(number: float) -> float:
    """Return the float with the fewest digits that is the same number in 32 bits."""
    if not math.isfinite(number):
        return number
    candidates = (float(f"{number:.{digits}g}") for digits in range(6, 10))
    packed = struct.pack("<f", number)
    return next((one for one in candidates if struct.pack("<f", one) == packed), number)


def read_header(path: Path) -> Header:
    """Return the header of a GGUF file; results are remembered until the file changes."""
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=16)
def _read(path: Path, _mtime: int, _size: int) -> Header:
    with path.open("rb") as file:
        reader = _Reader(file)
        if file.read(4) != MAGIC:
            raise NotGGUF("invalid file magic")
        version = reader.number("I")
        if version not in (2, 3):
            raise NotGGUF(f"unsupported GGUF version {version}")
        tensor_count, kv_count = reader.count(MAX_ENTRIES), reader.count(MAX_ENTRIES)
        kv: dict[str, t.Any] = {}
        insert_at = 0
        for _ in range(kv_count):
            position = file.tell()
            key = reader.text()
            if not insert_at and key.startswith("tokenizer."):
                insert_at = position
            kv[key] = reader.value(reader.number("I"))
        kv_end = file.tell()
        tensors = tuple(_tensor(reader) for _ in range(tensor_count))
        tensors_end = file.tell()
        alignment = kv.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0:
            raise NotGGUF(f"invalid GGUF alignment: {alignment}")
        data_offset = -(-tensors_end // alignment) * alignment
        return Header(version, kv, tensors, insert_at or kv_end, kv_end, tensors_end, data_offset)


def _tensor(reader: _Reader) -> Tensor:
    name = reader.text()
    dimensions = reader.number("I")
    if dimensions > MAX_DIMENSIONS:
        raise NotGGUF(f"tensor {name!r} has {dimensions} dimensions")
    shape = tuple(reader.number("Q") for _ in range(dimensions))
    kind, _offset = reader.number("I"), reader.number("Q")
    return Tensor(name, shape, kind)


def with_extra_uint32(path: Path, key: str, value: int) -> t.Iterator[bytes]:
    """Yield the bytes of `path` with one more unsigned key in its metadata.

    It goes before the tokenizer's keys: some readers look no further for what a model can do.
    Tensor offsets count from the start of the data section, so only the padding before it moves.
    """
    header = read_header(path)
    if key in header.kv:
        raise ValueError(f"{path} already has the key {key}")
    encoded = key.encode()
    entry = struct.pack("<Q", len(encoded)) + encoded + struct.pack("<II", 4, value)
    alignment = header.kv.get("general.alignment", DEFAULT_ALIGNMENT)
    with path.open("rb") as file:
        head = bytearray(file.read(header.insert_at))
        struct.pack_into("<Q", head, 16, len(header.kv) + 1)
        table = file.read(header.tensors_end - header.insert_at)
        padding = -(len(head) + len(entry) + len(table)) % alignment
        yield bytes(head) + entry + table + b"\0" * padding
        file.seek(header.data_offset)
        while chunk := file.read(1 << 20):
            yield chunk

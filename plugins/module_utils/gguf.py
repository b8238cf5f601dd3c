# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the head of a GGUF file says: its metadata and its tensors, never the weights. Private."""

from __future__ import annotations

import dataclasses
import math
import struct
import typing as t
from pathlib import Path

from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused

if t.TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"GGUF"
VERSIONS = (2, 3)
# A real header has some tens of keys, some hundreds of tensors and a vocabulary of a few MiB.
MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 16
MAX_DIMENSIONS = 4
MAX_STRING = 16 << 20
MAX_ARRAY = 1 << 22
MAX_HEADER = 128 << 20
# Of longer arrays (vocabularies) only the length is kept.
MAX_ITEMS = 4096
# That many items are kept of all arrays together.
MAX_KEPT = 1 << 18
_CHUNK = 1 << 20
_LARGEST = 2**63 - 1
_ALIGNMENT = 32

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip

# The numbers of general.file_type. Those that are missing are in no file any more.
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4",
    40: "Q1_0",
}  # fmt: skip

# The types of tensors in files: the name, how many numbers make a block, and the bytes of one.
TENSOR_TYPES = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4),
    27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}  # fmt: skip


class NotGGUF(Refused):
    """The file is no GGUF file, or not a whole one."""


class Readable(t.Protocol):
    """What a header is read from. A read may give less than was asked for, and at the end none."""

    def read(self, size: int, /) -> bytes: ...


@dataclasses.dataclass(frozen=True)
class Array:
    """An array of the metadata; a long one has a length but no items."""

    length: int
    items: tuple[t.Any, ...] = ()


Value = int | float | bool | str | Array


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An entry of the table of tensors; the offset counts from where the data begin."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def type(self) -> str:
        return TENSOR_TYPES[self.kind][0] if self.kind in TENSOR_TYPES else "unknown"

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int | None:
        """The bytes it takes, or None if its type is a new one."""
        if self.kind not in TENSOR_TYPES:
            return None
        _name, block, size = TENSOR_TYPES[self.kind]
        return self.elements // block * size


@dataclasses.dataclass(frozen=True)
class Header:
    """Everything that comes before the weights."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or "unknown"

    @property
    def name(self) -> str:
        return self.text("general.name")

    @property
    def type(self) -> str:
        """What the file is for: model, adapter, projector, …; older files do not say."""
        return self.text("general.type")

    @property
    def file_type(self) -> str:
        """How most of the weights are quantized, as the file says it."""
        number = self.number("general.file_type")
        return "unknown" if number is None else FILE_TYPES.get(number, "unknown")

    @property
    def chat_template(self) -> str:
        """The Jinja template of the model's makers, or nothing."""
        return self.text("tokenizer.chat_template")

    @property
    def context_length(self) -> int | None:
        return self.of_architecture("context_length")

    @property
    def embedding_length(self) -> int | None:
        return self.of_architecture("embedding_length")

    @property
    def block_count(self) -> int | None:
        return self.of_architecture("block_count")

    @property
    def pooling_type(self) -> int | None:
        """Set if the model makes embeddings and no text."""
        return self.of_architecture("pooling_type")

    @property
    def vocabulary_size(self) -> int | None:
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        return tokens.length if isinstance(tokens, Array) else None

    @property
    def split_count(self) -> int:
        """Of how many files this is one."""
        return self.number("split.count") or self.of_architecture("split.count") or 1

    @property
    def split_number(self) -> int:
        """Which of them it is; the first is 0."""
        return self.number("split.no") or self.of_architecture("split.no") or 0

    @property
    def parameter_count(self) -> int:
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def tensor_bytes(self) -> int | None:
        sizes = [tensor.size for tensor in self.tensors]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def bytes_by_type(self) -> dict[str, int]:
        """The types of the tensors that have a known one, and their bytes; the largest first."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors:
            if tensor.size is not None:
                sizes[tensor.type] = sizes.get(tensor.type, 0) + tensor.size
        return dict(sorted(sizes.items(), key=lambda item: -item[1]))

    @property
    def end(self) -> int:
        """The least size of a whole file, as far as the types of its tensors are known."""
        start = self.data_offset
        ends = (start + tensor.offset + (tensor.size or 0) for tensor in self.tensors)
        return max(ends, default=0)

    def text(self, key: str) -> str:
        """The text under the key, empty if there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def real(self, key: str) -> float | None:
        """The number under the key, whole or not; None if it is no finite one."""
        value = self.metadata.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return value if math.isfinite(value) else None

    def of_architecture(self, key: str) -> int | None:
        """The number under <architecture>.<key>."""
        return self.number(f"{self.architecture}.{key}")

    def per_layer(self, key: str) -> int | tuple[int, ...] | None:
        """The number under <architecture>.<key>, or those of each layer where they differ."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        if not isinstance(value, Array):
            return self.of_architecture(key)
        numbers = tuple(item for item in value.items if type(item) is int)
        return numbers if len(numbers) == value.length > 0 else None


def read(source: str | Path | Readable) -> Header:
    """The header of a GGUF file; NotGGUF if it is none, or larger than any header is.

    An open file is read from where it stands, and may end with the header. One that is named must
    be whole.
    """
    if not isinstance(source, (str, Path)):
        return _read(_Reader(source))
    path = Path(source)
    try:
        with path.open("rb") as file:
            header = read_named(file, str(path))
            size = path.stat().st_size
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from error
    refuse_cut(header, str(path), size, remedy="Download it again.")
    return header


def read_named(file: Readable, name: str) -> Header:
    """The header of an open file; NotGGUF with the file's name in it."""
    try:
        return _read(_Reader(file))
    except NotGGUF as error:
        raise NotGGUF(f"{name} is not a whole GGUF file: {error}.") from error


def refuse_cut(header: Header, name: str, size: int, *, remedy: str) -> None:
    """NotGGUF if the tensors go beyond the end of the file."""
    if size < header.end:
        raise NotGGUF(
            f"{name} is not a whole GGUF file: it has {size} bytes, but its tensors need "
            f"{header.end}. {remedy}"
        )


class _Reader:
    """Takes bytes, numbers and texts off a file, and never more than a header can have."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._buffer = b""
        self._at = 0
        self._gone = 0
        self._kept = 0

    @property
    def position(self) -> int:
        return self._gone + self._at

    def take(self, count: int) -> bytes:
        if len(self._buffer) - self._at < count:
            self._fill(count)
        start, self._at = self._at, self._at + count
        return self._buffer[start : self._at]

    def skip(self, count: int) -> None:
        while count > 0:
            step = min(count, _CHUNK)
            self.take(step)
            count -= step

    def number(self, code: str) -> t.Any:
        (value,) = struct.unpack(code, self.take(struct.calcsize(code)))
        return value

    def length(self, limit: int, what: str) -> int:
        value = int.from_bytes(self.take(8), "little")
        if value > limit:
            raise NotGGUF(f"it claims {value} {what}, and {limit} is the most")
        return value

    def text(self) -> str:
        return self.take(self.length(MAX_STRING, "bytes in one text")).decode("utf-8", "replace")

    def keeps(self, items: int) -> bool:
        """Whether there is room for the items of one more array."""
        is_kept = items <= min(MAX_ITEMS, MAX_KEPT - self._kept)
        self._kept += items if is_kept else 0
        return is_kept

    def skip_texts(self, count: int) -> None:
        for _ in range(count):
            # A vocabulary has hundreds of thousands; most lie in the buffer as they are.
            length = int.from_bytes(self._buffer[self._at : self._at + 8], "little")
            end = self._at + 8 + length
            if end <= len(self._buffer):
                self._at = end
            else:
                self.skip(self.length(MAX_STRING, "bytes in one text"))

    def _fill(self, count: int) -> None:
        if self.position + count > MAX_HEADER:
            raise NotGGUF(f"its header has more than {MAX_HEADER >> 20} MiB")
        pieces = [self._buffer[self._at :]]
        missing = count - len(pieces[0])
        self._gone += self._at
        self._at = 0
        while missing > 0:
            piece = self._file.read(max(missing, _CHUNK))
            if not piece:
                raise NotGGUF(
                    f"it ends within its header, after {self._gone + len(pieces[0])} bytes"
                )
            pieces.append(piece)
            missing -= len(piece)
        self._buffer = b"".join(pieces)


def _read(reader: _Reader) -> Header:
    magic = reader.take(len(MAGIC))
    if magic != MAGIC:
        raise NotGGUF(f"it begins with {magic!r}")
    version = reader.number("<I")
    if version not in VERSIONS:
        raise NotGGUF(f"its version is {version}, and only 2 and 3 are known")
    tensor_count = reader.length(MAX_TENSORS, "tensors")
    key_count = reader.length(MAX_KEYS, "keys")
    metadata: dict[str, Value] = {}
    for _ in range(key_count):
        key = reader.text()
        metadata[key] = _value(reader, reader.number("<I"))
    tensors = tuple(_tensor(reader) for _ in range(tensor_count))
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or not 0 < alignment <= _CHUNK:
        raise NotGGUF(f"its alignment is {alignment}")
    return Header(version, metadata, tensors, -(-reader.position // alignment) * alignment)


def _value(reader: _Reader, kind: int) -> Value:
    if kind == _STRING:
        return reader.text()
    if kind == _ARRAY:
        inner = reader.number("<I")
        return _array(reader, inner, reader.length(MAX_ARRAY, "items in one array"))
    return t.cast(Value, reader.number(_code(kind)))


def _array(reader: _Reader, kind: int, length: int) -> Array:
    is_kept = reader.keeps(length)
    if kind == _STRING and is_kept:
        return Array(length, tuple(reader.text() for _ in range(length)))
    if kind == _STRING:
        reader.skip_texts(length)
        return Array(length)
    code = _code(kind)
    if is_kept:
        return Array(length, tuple(reader.number(code) for _ in range(length)))
    reader.skip(length * struct.calcsize(code))
    return Array(length)


def _code(kind: int) -> str:
    if kind not in _SCALARS:
        raise NotGGUF(f"it has a value of the type {kind}, which does not exist")
    return _SCALARS[kind]


def _tensor(reader: _Reader) -> Tensor:
    name = reader.text()
    dimensions = reader.number("<I")
    if dimensions > MAX_DIMENSIONS:
        raise NotGGUF(f"its tensor {name!r} has {dimensions} dimensions")
    shape = tuple(reader.number("<Q") for _ in range(dimensions))
    tensor = Tensor(name, shape, reader.number("<I"), reader.number("<Q"))
    if max(tensor.elements, tensor.offset, tensor.size or 0) > _LARGEST:
        raise NotGGUF(f"its tensor {name!r} is larger than any file")
    return tensor

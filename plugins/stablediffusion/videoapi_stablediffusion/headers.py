"""Reads what a weight file says of itself: the names, shapes and sizes of its tensors, and whether it is whole.

The library aborts the process on some damaged files and crashes on others, so nothing reaches it unread. Formats:
GGUF 2 and 3 (ggml's docs/gguf.md), safetensors. Only the header is read, whatever the file's size.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GGUF_MAGIC = b"GGUF"
GGUF_VERSIONS = (2, 3)
MAX_DIMENSIONS = 5
MAX_NAME_LENGTH = 1024
MAX_JSON_LENGTH = 100 * 2**20
DEFAULT_ALIGNMENT = 32
# Bytes of GGUF's metadata types 0 to 12; 8 is a string, 9 an array.
METADATA_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, UINT32 = 8, 9, 4
# ggml's types by number: name, values in a block, bytes of a block.
GGML_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("f32", 1, 4),
    1: ("f16", 1, 2),
    2: ("q4_0", 32, 18),
    3: ("q4_1", 32, 20),
    6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24),
    8: ("q8_0", 32, 34),
    9: ("q8_1", 32, 36),
    10: ("q2_K", 256, 84),
    11: ("q3_K", 256, 110),
    12: ("q4_K", 256, 144),
    13: ("q5_K", 256, 176),
    14: ("q6_K", 256, 210),
    15: ("q8_K", 256, 292),
    16: ("iq2_xxs", 256, 66),
    17: ("iq2_xs", 256, 74),
    18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18),
    21: ("iq3_s", 256, 110),
    22: ("iq2_s", 256, 82),
    23: ("iq4_xs", 256, 136),
    24: ("i8", 1, 1),
    25: ("i16", 1, 2),
    26: ("i32", 1, 4),
    27: ("i64", 1, 8),
    28: ("f64", 1, 8),
    29: ("iq1_m", 256, 56),
    30: ("bf16", 1, 2),
    34: ("tq1_0", 256, 54),
    35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17),
}
PLAIN_TYPES = ("f32", "f16", "bf16", "f64", "i8", "i16", "i32", "i64")
# safetensors' types that the library takes: bytes in the file, bytes in memory, ggml's type there.
SAFETENSORS_TYPES = {
    "F64": (8, 4, "f32"),
    "F32": (4, 4, "f32"),
    "F16": (2, 2, "f16"),
    "BF16": (2, 2, "bf16"),
    "F8_E4M3": (1, 2, "f16"),
    "F8_E5M2": (1, 2, "f16"),
    "I64": (8, 4, "i32"),
    "I32": (4, 4, "i32"),
    "U8": (1, 0, "i8"),  # skipped by the library
}
# Tensors with the scales of others. The library leaves them out, and takes the unscaled numbers for the weights.
SCALES = ("scaled_fp8", "scale_weight", "weight_scale", "comfy_quant")


class BadWeights(Exception):
    """A file that the library must not be given; the message is a clause that says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor's place in a header."""

    shape: tuple[int, ...]
    """As torch has it: the fastest dimension last."""
    memory: int
    """Bytes once it is loaded as it is."""
    kind: str
    """Its type by ggml's name, as it is loaded."""

    @property
    def is_quantised(self) -> bool:
        return self.kind not in PLAIN_TYPES

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


def read_header(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a GGUF or safetensors file by name. Raises BadWeights."""
    try:
        with path.open("rb") as file:
            start = file.read(len(GGUF_MAGIC))
            if not start:
                raise BadWeights("is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                tensors = _read_gguf(data) if start == GGUF_MAGIC else _read_safetensors(data)
    except FileNotFoundError as error:
        raise BadWeights("does not exist") from error
    except IsADirectoryError as error:
        raise BadWeights("is a folder") from error
    except OSError as error:
        raise BadWeights(f"cannot be read: {error.strerror}") from error
    if not tensors:
        raise BadWeights("holds no tensors")
    if any(name.rpartition(".")[2] in SCALES for name in tensors):
        raise BadWeights("has scaled weights, whose scales the library ignores; use f16, bf16 or GGUF")
    return tensors


class _Cursor:
    """Reads little-endian values one after the other, never beyond the end."""

    def __init__(self, data: mmap.mmap, position: int) -> None:
        self.data, self.position = data, position

    def number(self, code: str) -> int:
        (value,) = struct.unpack("<" + code, self.take(struct.calcsize(code)))
        return int(value)

    def take(self, length: int) -> bytes:
        self.skip(length)
        return self.data[self.position - length : self.position]

    def skip(self, length: int) -> None:
        self.position += length
        if self.position > len(self.data):
            raise BadWeights("is cut off in its header")

    def text(self) -> str:
        length = self.number("Q")
        if length > MAX_NAME_LENGTH:
            raise BadWeights(f"has a name of {length} bytes")
        return self.take(length).decode("utf-8", "replace")


def _read_gguf(data: mmap.mmap) -> dict[str, Tensor]:
    cursor = _Cursor(data, len(GGUF_MAGIC))
    version = cursor.number("I")
    if version not in GGUF_VERSIONS:
        raise BadWeights(f"is GGUF version {version}; 2 and 3 are known")
    tensor_count, value_count = cursor.number("Q"), cursor.number("Q")
    alignment = DEFAULT_ALIGNMENT
    for _ in range(value_count):
        key, kind = cursor.text(), cursor.number("I")
        if key == "general.alignment" and kind == UINT32:
            alignment = cursor.number("I")
        else:
            _skip_value(cursor, kind)
    if alignment < 1 or alignment & (alignment - 1):
        raise BadWeights(f"has an alignment of {alignment}")
    infos = [_read_tensor_info(cursor) for _ in range(tensor_count)]
    start = -(-cursor.position // alignment) * alignment
    tensors = {}
    for name, shape, type_number, offset in infos:
        loaded, block, size = GGML_TYPES[type_number]
        length = math.prod(shape) // block * size
        _check_end(name, start + offset + length, len(data))
        tensors[name] = Tensor(shape=shape, memory=length, kind=loaded)
    return tensors


def _skip_value(cursor: _Cursor, kind: int) -> None:
    if kind == STRING:
        cursor.skip(cursor.number("Q"))
    elif kind == ARRAY:
        kind, count = cursor.number("I"), cursor.number("Q")
        if kind == STRING:
            for _ in range(count):
                cursor.skip(cursor.number("Q"))
        else:
            cursor.skip(count * _metadata_size(kind))
    else:
        cursor.skip(_metadata_size(kind))


def _metadata_size(kind: int) -> int:
    if kind not in METADATA_SIZES:
        raise BadWeights(f"has a value of the unknown type {kind}")
    return METADATA_SIZES[kind]


def _read_tensor_info(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name, dimensions = cursor.text(), cursor.number("I")
    if dimensions > MAX_DIMENSIONS:
        raise BadWeights(f"has a tensor of {dimensions} dimensions: '{name}'")
    shape = tuple(cursor.number("Q") for _ in range(dimensions))[::-1]
    kind, offset = cursor.number("I"), cursor.number("Q")
    if kind not in GGML_TYPES:
        raise BadWeights(f"has a tensor of the unknown type {kind}: '{name}'")
    return name, shape, kind, offset


def _read_safetensors(data: mmap.mmap) -> dict[str, Tensor]:
    try:
        length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else MAX_JSON_LENGTH + 1
        if length > MAX_JSON_LENGTH or data[8:9] != b"{":
            raise BadWeights("is neither GGUF nor safetensors; pickled weights (.pt, .ckpt) are not loaded")
        if 8 + length > len(data):
            raise BadWeights("is cut off in its header")
        header = json.loads(data[8 : 8 + length])
        return dict(_read_entries(header, 8 + length, len(data)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadWeights("has a header that is not that of safetensors") from error


def _read_entries(header: dict[str, Any], start: int, file_size: int) -> Iterator[tuple[str, Tensor]]:
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if kind not in SAFETENSORS_TYPES:
            raise BadWeights(f"has a tensor of the unsupported type {kind}: '{name}'")
        in_file, in_memory, loaded = SAFETENSORS_TYPES[kind]
        if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
            raise BadWeights(f"has a tensor whose shape or place is no number: '{name}'")
        if len(shape) > MAX_DIMENSIONS or math.prod(shape) * in_file != end - begin:
            raise BadWeights(f"has a tensor whose size does not fit its shape: '{name}'")
        _check_end(name, start + end, file_size)
        yield name, Tensor(shape=shape, memory=math.prod(shape) * in_memory, kind=loaded)


def _check_end(name: str, end: int, file_size: int) -> None:
    if end > file_size:
        raise BadWeights(f"is cut off: '{name}' ends at byte {end} of {file_size}")

"""Tensors of a weight file that does not exist yet, and the file."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ALIGNMENT = 32
# ggml's number, values in a block, bytes of a block.
F32, F16, TQ2_0 = (0, 1, 4), (1, 1, 2), (35, 256, 66)
Kind = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor: `sizes` from the fastest dimension to the slowest."""

    name: str
    sizes: tuple[int, ...]
    kind: Kind = F32

    @property
    def length(self) -> int:
        _, block, size = self.kind
        return math.prod(self.sizes) // block * size


def linear(name: str, inputs: int, outputs: int, *, bias: bool = True) -> Iterator[Entry]:
    yield Entry(f"{name}.weight", (inputs, outputs), TQ2_0)
    if bias:
        yield Entry(f"{name}.bias", (outputs,))


def convolution(name: str, inputs: int, outputs: int, side: int, *, bias: bool = True) -> Iterator[Entry]:
    yield Entry(f"{name}.weight", (side, side, inputs, outputs), F16)
    if bias:
        yield Entry(f"{name}.bias", (outputs,))


def norm(name: str, width: int) -> Iterator[Entry]:
    yield Entry(f"{name}.weight", (width,))
    yield Entry(f"{name}.bias", (width,))


def write_gguf(path: Path, entries: Iterator[Entry], *, seed: int = 0, scale: float = 0.05, f32: float = 0.0) -> Path:
    """A GGUF of those tensors. `scale` is the deviation of half floats, `f32` the value of every single float."""
    tensors = list(entries)
    longest: dict[Kind, int] = {}
    for entry in tensors:
        longest[entry.kind] = max(longest.get(entry.kind, 0), entry.length)
    # No stretch begins at 0: ggml's reader must stumble over the first tensor for the library's own to take over.
    starts, end = {}, ALIGNMENT
    for kind, length in longest.items():
        starts[kind] = end
        end += -(-length // ALIGNMENT) * ALIGNMENT
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0)
    for entry in tensors:
        name = entry.name.encode()
        sizes = struct.pack(f"<I{len(entry.sizes)}Q", len(entry.sizes), *entry.sizes)
        place = struct.pack("<IQ", entry.kind[0], starts[entry.kind])
        header += struct.pack("<Q", len(name)) + name + sizes + place
    start = -(-len(header) // ALIGNMENT) * ALIGNMENT
    chance = random.Random(seed)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(start + end)
        for kind, length in longest.items():
            unit = _unit(kind, chance, scale, f32)
            file.seek(start + starts[kind])
            file.write((unit * (length // len(unit) + 1))[:length])
    return path


def _unit(kind: Kind, chance: random.Random, scale: float, f32: float) -> bytes:
    """Some values of a type. Their number is a prime, so that rows which repeat them still differ."""
    if kind == F32:
        return struct.pack("<f", f32)
    if kind == F16:
        return struct.pack("<1009e", *(chance.gauss(0, scale) for _ in range(1009)))
    trits = [sum(chance.randrange(3) << (2 * place) for place in range(4)) for _ in range(97 * 64)]
    return b"".join(bytes(trits[64 * i : 64 * i + 64]) + struct.pack("<e", 0.02) for i in range(97))

"""Tells the files that hold clips by their first bytes, and whether they are all there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from mmap import mmap
from typing import Literal

Container = Literal["mov", "matroska"]
"""ffmpeg's names of the two demuxers that are ever used: neither opens another file."""
Data = bytes | mmap

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
# HEIC and AVIF: pictures in the boxes of an mp4.
PICTURES = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})


# A minute of uncompressed sound has nearly as many.
MAX_SAMPLES = 3_000_000
# The boxes that say how many samples there are, and how far behind their type they do.
COUNTS = {b"stsz": 12, b"stz2": 12, b"trun": 8}
COUNTED = re.compile(b"|".join(COUNTS))


def find_container(data: bytes) -> Container | None:
    """What holds the clip: mp4 and mov, or webm and mkv; None for everything else."""
    if data.startswith(EBML):
        return "matroska"
    if data[4:8] == b"ftyp" and data[8:12] in PICTURES:
        return None
    return "mov" if data[4:8] in BOXES else None


def is_whole(data: Data, container: Container) -> bool:
    """False when the file says that it goes on where it ends."""
    if container == "matroska":
        return all(end <= len(data) for end in _elements(data))
    return all(end <= len(data) for kind, _, end in _boxes(data) if kind in (b"moov", b"moof", b"mdat"))


def is_modest(data: Data, container: Container) -> bool:
    """False for an mp4 whose index says that it has more samples than MAX_SAMPLES, or is compressed.

    A few bytes can say so, and ffmpeg makes an entry in memory for each.
    """
    if container == "matroska":
        return True
    index = b"".join(data[start:end] for kind, start, end in _boxes(data) if kind != b"mdat")
    if b"cmov" in index:
        return False
    # Wherever they stand: ffmpeg is not strict about it.
    return sum(_number(index, found.start() + COUNTS[found[0]]) for found in COUNTED.finditer(index)) <= MAX_SAMPLES


def _boxes(data: Data) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of an mp4's parts (ISO/IEC 14496-12, 4.2)."""
    start = 0
    while start + 8 <= len(data):
        size, kind = _number(data, start), data[start + 4 : start + 8]
        if size == 1:
            size = int.from_bytes(data[start + 8 : start + 16], "big")
        # 0 is "to the end of the file"; less than a header is rubbish.
        end = start + size if size >= 8 else len(data)
        yield kind, start, end
        start = end


def _number(data: Data, start: int) -> int:
    return int.from_bytes(data[start : start + 4], "big")


def _elements(data: Data) -> Iterator[int]:
    """The ends of an EBML header and of the segment behind it (RFC 8794 and 9559); one that is streamed has none."""
    start = 0
    for name in (EBML, SEGMENT):
        first = data[start + 4] if data[start : start + 4] == name and start + 4 < len(data) else 0
        length = 9 - first.bit_length()
        size = int.from_bytes(data[start + 4 : start + 4 + length], "big") & (1 << 7 * length) - 1
        if not first or size == (1 << 7 * length) - 1:
            return
        start += 4 + length + size
        yield start

"""Makes small clips, and damages them."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

FORMATS = {"mp4": "mp4", "mov": "mov", "webm": "webm", "mkv": "matroska"}


def grey(index: int) -> int:
    """The level of a clip's frame of that number; far enough from its neighbours' to be known after coding."""
    return 20 + 7 * index


def index_of(frame: Any) -> int:
    """The number of the frame that a picture came from."""
    return round((float(np.asarray(frame).mean()) - 20) / 7)


def greys(count: int, width: int = 64, height: int = 48) -> list[Any]:
    return [np.full((height, width, 3), grey(index), np.uint8) for index in range(count)]


def encode_clip(
    frames: Sequence[Any],
    fps: int = 8,
    *,
    kind: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[int] | None = None,
    sound: float = 0,
    **attributes: Any,
) -> bytes:
    """Frames as a file; `times` in milliseconds in place of a steady rate, `sound` in seconds.

    `attributes` are the codec context's, such as `colorspace`, to which the frames are then converted.
    """
    time_base = Fraction(1, fps) if times is None else Fraction(1, 1000)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=FORMATS[kind]) as output:
        video: Any = output.add_stream(codec, rate=fps) if len(frames) else None
        audio: Any = output.add_stream("aac", rate=48000, layout="mono") if sound else None
        if video is not None:
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = pixels
            video.codec_context.time_base = time_base
            for name, value in attributes.items():
                setattr(video.codec_context, name, value)
            # As root, SVT-AV1 makes the thread that opens it one of real time, and with it all that this one starts.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(video.codec_context.open).result()
        for number, frame in enumerate(frames):
            picture = convert(frame, pixels, attributes.get("colorspace"))
            picture.pts, picture.time_base = (number if times is None else times[number]), time_base
            output.mux(video.encode(picture))
        if video is not None:
            output.mux(video.encode())
        for start in range(0, int(48000 * sound), 1024):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            samples.sample_rate, samples.pts = 48000, start
            output.mux(audio.encode(samples))
        if audio is not None:
            output.mux(audio.encode())
    return buffer.getvalue()


def convert(pixels: Any, to: str, matrix: int | None = None) -> av.VideoFrame:
    """RGB or RGBA pixels as a frame of that format; `matrix` as swscale counts them."""
    frame = av.VideoFrame.from_ndarray(pixels, "rgba" if pixels.shape[-1] == 4 else "rgb24")
    return frame.reformat(format=to, dst_colorspace=matrix)


def turned(clip: bytes, matrix: tuple[int, int, int, int]) -> bytes:
    """The mp4 with (a, b, c, d) in the display matrix of its first track (ISO/IEC 14496-12, 8.3.2)."""
    a, b, c, d = (value << 16 for value in matrix)
    start = clip.index(b"tkhd") + 4 + 40
    return clip[:start] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + clip[start + 36 :]


def index_first(clip: bytes) -> bytes:
    """The same mp4 with its `moov` box, which has one `stco`, before its `mdat`."""
    start, moov = clip.index(b"moov") - 4, bytearray(clip[clip.index(b"moov") - 4 :])
    head = clip.index(b"mdat") - 4
    table = moov.index(b"stco") + 8
    for entry in range(int.from_bytes(moov[table : table + 4], "big")):
        at = table + 4 + 4 * entry
        moov[at : at + 4] = (int.from_bytes(moov[at : at + 4], "big") + len(moov)).to_bytes(4, "big")
    return clip[:head] + bytes(moov) + clip[head:start]


def without_durations(clip: bytes) -> bytes:
    """The same frames in a Matroska file of no known length that has their times alone, as browsers record."""
    buffer = io.BytesIO()
    with (
        av.open(io.BytesIO(clip)) as source,
        av.open(buffer, "w", format="matroska", options={"live": "1", "default_mode": "passthrough"}) as output,
    ):
        stream: Any = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream, packet.duration = stream, 0
                output.mux(packet)
    # Matroska's DefaultDuration, under another name that nobody knows.
    return buffer.getvalue().replace(b"\x23\xe3\x83", b"\x23\xe3\x84")


def refer_to(path: Path, moov: bytes) -> bytes:
    """An mp4 of that index alone, whose samples are said to be in the file at `path`."""
    name = str(path).encode()
    alias = (
        bytes(10)
        + b"\x00" * 140
        + struct.pack(">HH", 18, len(name))
        + name
        + bytes(len(name) % 2)
        + b"\xff\xff\x00\x00"
    )
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    dref = moov.index(b"dref") - 4
    size = int.from_bytes(moov[dref : dref + 4], "big")
    new = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    data = bytearray(moov[:dref] + new + moov[dref + size :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        at = data.index(box) - 4
        data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + len(new) - size).to_bytes(4, "big")
    return b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + bytes(data)


def spots(width: int = 64, height: int = 48) -> Any:
    """Red at the top left, green at the top right, blue at the bottom left, white at the bottom right."""
    frame = np.empty((height, width, 3), np.uint8)
    for row, colors in enumerate((((255, 0, 0), (0, 255, 0)), ((0, 0, 255), (255, 255, 255)))):
        for column, color in enumerate(colors):
            top, left = row * height // 2, column * width // 2
            frame[top : top + height // 2, left : left + width // 2] = color
    return frame


def corners(picture: Any) -> str:
    """The colours at the corners by their first letters, in reading order."""
    frame = np.asarray(picture).astype(int)
    height, width = frame.shape[:2]
    known = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255)}
    found = ""
    for y, x in ((height // 4, width // 4), (height // 4, 3 * width // 4), (3 * height // 4, width // 4), (-8, -8)):
        found += min(known, key=lambda name: int(np.abs(frame[y, x] - known[name]).sum()))
    return found

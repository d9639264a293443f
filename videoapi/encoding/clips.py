"""Reads a client's clip: checks it before its request is accepted, and makes the model's frames of it."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from videoapi.encoding.containers import find_container, is_modest, is_whole
from videoapi.encoding.pictures import shown_size, to_picture
from videoapi.encoding.source import THREADS, ClipError, open_video, too_large

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

WHAT = "The clip"
DAMAGED = "The clip is damaged."
# Whatever a hostile file makes of the limits on bytes and pixels.
CHECK_SECONDS, READ_SECONDS = 10.0, 300.0
# How far the times of a Matroska file, which are rounded to a thousandth of a second, can be off.
ROUNDING = Fraction(1, 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipFacts:
    """What a request must know of its clip."""

    width: int
    """Of its first frame, upright and with square pixels."""
    height: int
    num_frames: int
    """At the rate asked for. Of a clip that is longer than the video, some number over the video's."""


def check_clip(data: bytes, *, num_frames: int, fps: int, max_pixels: int) -> ClipFacts:
    """Look at a clip in memory without decoding more than its first frame, nor reading on after the video's end.

    Raises ClipError.
    """
    container = find_container(data)
    if container is None or not is_whole(data, container):
        raise ClipError("The clip is cut short." if container else DAMAGED)
    if not is_modest(data, container):
        raise ClipError("The clip's index is too large.")
    first = start = last = None
    length = packets = 0
    deadline = _Deadline(CHECK_SECONDS)
    with open_video(io.BytesIO(data), container, WHAT, max_pixels=max_pixels, threads=1) as (source, stream):
        assert stream.time_base is not None
        for packet in source.demux(stream):
            deadline.check()
            if packet.is_corrupt:
                raise ClipError("The clip is cut short.")
            if first is None:
                first = next(iter(packet.decode()), None)
            if packet.pts is None or packet.is_discard:
                continue
            packets += 1
            start = packet.pts if start is None else min(start, packet.pts)
            if last is None or packet.pts > last:
                last, length = packet.pts, packet.duration or 0
            if first is not None and ((packet.dts or 0) - start) * stream.time_base > Fraction(num_frames, fps):
                break
        if first is None or start is None or last is None:
            raise ClipError("The clip has no frames.")
        width, height = shown_size(first, stream)
        # A frame that does not say how long it is shown is shown as long as the others.
        seconds = (last - start + (length or Fraction(last - start, max(1, packets - 1)))) * stream.time_base
    if width * height > max_pixels:
        raise too_large(WHAT, width, height, max_pixels)
    return ClipFacts(width=width, height=height, num_frames=_count(seconds, fps))


def read_clip(
    path: Path, *, width: int, height: int, num_frames: int, fps: int, max_pixels: int
) -> tuple[Image.Image, ...]:
    """The clip's frames at the times 0, 1/fps, 2/fps and so on, at most `num_frames` of them and at least one.

    Each is the frame nearest to its time, in RGB, scaled to cover `width` by `height` and cut at the middle. A frame
    that stands for several times is one object. Raises ClipError.
    """
    pictures: list[Image.Image] = []
    deadline = _Deadline(READ_SECONDS)
    with path.open("rb") as file:
        container = find_container(file.read(12))
        file.seek(0)
        if container is None:
            raise ClipError(DAMAGED)
        with open_video(file, container, WHAT, max_pixels=max_pixels, threads=THREADS) as (source, stream):
            for frame, times in _stretch(deadline.watch(source.decode(stream)), stream, num_frames, fps):
                picture = ImageOps.fit(to_picture(frame, stream), (width, height), Image.Resampling.LANCZOS)
                pictures += [picture] * times
    if not pictures:
        raise ClipError("The clip has no frames.")
    return tuple(pictures)


def read_last_frame(data: bytes, *, max_pixels: int) -> Image.Image:
    """The clip's last frame, upright and in RGB. Raises ClipError."""
    container = find_container(data)
    if container is None or not is_whole(data, container) or not is_modest(data, container):
        raise ClipError(DAMAGED)
    last, deadline = None, _Deadline(CHECK_SECONDS)
    with open_video(io.BytesIO(data), container, WHAT, max_pixels=max_pixels, threads=1) as (source, stream):
        if stream.duration:
            # To the last frame that can be decoded by itself: what comes before is of no use.
            source.seek((stream.start_time or 0) + stream.duration, stream=stream)
        for frame in deadline.watch(source.decode(stream)):
            last = frame
        if last is None:
            raise ClipError("The clip has no frames.")
        return to_picture(last, stream)


def _stretch(
    frames: Iterator[VideoFrame], stream: VideoStream, num_frames: int, fps: int
) -> Iterator[tuple[VideoFrame, int]]:
    """The frames that are needed, each with the number of times that it is."""
    shown: VideoFrame | None = None
    start = at = gap = Fraction(0)
    done = seen = 0
    for frame in frames:
        time_base = frame.time_base or stream.time_base
        following = frame.pts * time_base if frame.pts is not None and time_base else at + gap
        if shown is None:
            start = following
        elif following <= at:
            continue
        else:
            # Of two that are equally near, the earlier one.
            middle = (at + following + ROUNDING) / 2 - start
            until = min(num_frames, math.floor(middle * fps) + 1)
            if until > done:
                yield shown, until - done
                done = until
        shown, at, seen = frame, following, seen + 1
        gap = (at - start) / max(1, seen - 1)
        if done >= num_frames:
            return
    if shown is not None:
        length = (shown.duration or 0) * (shown.time_base or 0) or gap
        until = min(num_frames, _count(at + length - start, fps))
        if until > done:
            yield shown, until - done


def _count(seconds: Fraction, fps: int) -> int:
    """The frames in a time: to the nearest number, halves up, and never none."""
    return max(1, math.floor(seconds * fps + Fraction(1, 2)))


class _Deadline:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        if time.monotonic() > self._end:
            raise ClipError(f"Reading the clip took longer than {self._seconds:g} seconds.")

    def watch(self, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            self.check()
            yield frame

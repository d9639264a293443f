"""Looks at an mp4 that an engine has encoded, taking it for a stranger's, and reads its frames."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from videoapi.encoding.containers import find_container, is_modest, is_whole
from videoapi.encoding.encode import ALL_BLACK, BLACK, VideoFormat, too_few
from videoapi.encoding.pictures import is_plain, shown_size, to_picture
from videoapi.encoding.source import DECODERS, THREADS, ClipError, open_video
from videoapi.exceptions import ModelError

if TYPE_CHECKING:
    import numpy as np
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

WHAT = "The engine's file"
MAX_BYTES = 2**30
MAX_PIXELS = 2**26
# By the names of their decoders.
SOUND_CODECS = ("aac", "mp3", "opus", "vorbis", "flac", "alac", "ac3", "eac3", "pcm_s16le", "pcm_f32le")
# Some decoders are called otherwise.
ALL_DECODERS = (*DECODERS, *SOUND_CODECS, "mp3float", "libopus", "libvorbis")
# A damaged frame is an error, not a guess at what it was.
STRICT = {"err_detect": "explode"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """The sound that is kept."""

    index: int
    """Of its stream."""
    is_copied: bool
    """Its AAC is; otherwise it becomes AAC."""
    seconds: Fraction
    """How much of it is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFile:
    """What an engine's file holds."""

    index: int
    """Of its video stream."""
    num_frames: int
    is_ready: bool
    """What its first frames' packets hold is what was asked for, as far as can be told without decoding them."""
    sound: Sound | None


def examine(source: Path, video: VideoFormat) -> EngineFile:
    """Read all packets, and decode until there is a frame. Raises ModelError."""
    _check_file(source)
    first: VideoFrame | None = None
    is_ready = True
    # Of the frames, as they are stored: when each is shown, and for how long.
    stored: list[tuple[Fraction, Fraction]] = []
    sound_end = Fraction(0)
    with _open(source, threads=1) as (container, stream):
        start = Fraction(container.start_time or 0, 1_000_000)
        audio = next(iter(container.streams.audio), None)
        for packet in container.demux(*filter(None, (stream, audio))):
            if packet.is_corrupt:
                raise ClipError(f"{WHAT} is cut short.")
            if first is None and packet.stream is stream:
                first = next(iter(stream.decode(packet)), None)
                if first is not None:
                    _check_size(first, stream, video)
                    is_ready = is_ready and _is_ready(first, stream)
            if packet.pts is None or packet.time_base is None:
                continue
            at, length = packet.pts * packet.time_base - start, (packet.duration or 0) * packet.time_base
            if packet.stream is not stream:
                sound_end = max(sound_end, at + length)
            elif packet.is_discard:
                is_ready = False
            else:
                stored.append((at, length))
        if first is None:
            raise ClipError(f"{WHAT} has no frames.")
        shown = sorted(at for at, _ in stored)[: video.num_frames]
        return EngineFile(
            index=stream.index,
            num_frames=len(stored),
            is_ready=is_ready and _is_steady(stored[: video.num_frames], shown, video.fps),
            sound=None if audio is None else _choose_sound(audio, shown, video, sound_end),
        )


def _check_size(frame: VideoFrame, stream: VideoStream, video: VideoFormat) -> None:
    width, height = shown_size(frame, stream)
    if (width, height) != (video.width, video.height):
        raise ClipError(f"{WHAT} has {width}x{height} pixels; {video.width}x{video.height} was asked for.")


def _is_ready(frame: VideoFrame, stream: VideoStream) -> bool:
    return stream.codec_context.name == "h264" and frame.format.name == "yuv420p" and is_plain(frame, stream)


def _is_steady(stored: list[tuple[Fraction, Fraction]], shown: list[Fraction], fps: int) -> bool:
    """These are the frames to be shown, each exactly as long as it should be, from the start."""
    return (
        # A file in fragments without an edit list begins as much later as its B-frames are put off.
        all(abs(at) < Fraction(1, 2 * fps) for at in shown[:1])
        # With B-frames, one that comes later may be stored before.
        and sorted(at for at, _ in stored) == shown
        and all(length == Fraction(1, fps) for _, length in stored)
        and all(at - shown[0] == Fraction(number, fps) for number, at in enumerate(shown))
    )


def _is_in_time(shown: list[Fraction], video: VideoFormat) -> bool:
    """No frame is further than half of one from where it will be; the first one belongs to the sound's start."""
    off = (at - shown[0] - Fraction(number, video.fps) for number, at in enumerate(shown))
    return all(abs(seconds) <= Fraction(1, 2 * video.fps) for seconds in off)


def _choose_sound(stream: AudioStream, shown: list[Fraction], video: VideoFormat, end: Fraction) -> Sound | None:
    """What is kept of sound that ends then."""
    context = stream.codec_context
    if context is None or context.codec.canonical_name not in SOUND_CODECS:
        raise ClipError(f"{WHAT} has sound of another kind than {', '.join(SOUND_CODECS)}.")
    if not _is_in_time(shown, video):
        # The frames are what was asked for and the rate is the request's, whatever the file says of it; its sound would
        # run beside other pictures than it was made for.
        logger.warning("the sound of the engine's file is left out: its frames are not at %d a second", video.fps)
        return None
    seconds = Fraction(video.num_frames, video.fps)
    is_aac = context.codec.canonical_name == "aac"
    if not is_aac or end <= seconds:
        return Sound(index=stream.index, is_copied=is_aac, seconds=seconds)
    # What is copied ends with a whole packet, of which a very short video has none.
    cut = seconds - Fraction(context.frame_size, max(1, context.sample_rate))
    return Sound(index=stream.index, is_copied=cut > 0, seconds=cut if cut > 0 else seconds)


def check_frames(source: Path, video: VideoFormat) -> NDArray[np.uint8]:
    """Decode what will be copied; returns the first frame. Raises ModelError."""
    first: NDArray[np.uint8] | None = None
    count, is_black = 0, True
    with _open(source, THREADS) as (container, stream):
        for frame in islice(container.decode(stream), video.num_frames):
            _check_size(frame, stream, video)
            if frame.is_corrupt or not _is_ready(frame, stream):
                raise ClipError(f"{WHAT} is damaged.")
            # One bright sample is enough; the other frames need not be converted.
            if is_black:
                pixels = _to_array(frame, stream)
                is_black = int(pixels.max()) <= BLACK
                first = pixels if first is None else first
            count += 1
    if first is None or count < video.num_frames:
        raise too_few(count, video)
    if is_black:
        raise ModelError(ALL_BLACK)
    return first


def read_frames(source: Path, video: VideoFormat) -> Iterator[NDArray[np.uint8]]:
    """All frames in RGB, upright, one at a time. Raises ModelError."""
    with _open(source, THREADS) as (container, stream):
        for frame in container.decode(stream):
            _check_size(frame, stream, video)
            yield _to_array(frame, stream)


def _to_array(frame: VideoFrame, stream: VideoStream) -> NDArray[np.uint8]:
    import numpy as np

    return np.asarray(to_picture(frame, stream))


def _check_file(source: Path) -> None:
    size = source.stat().st_size if source.is_file() else None
    if size is None:
        raise ModelError(f"{WHAT} does not exist.")
    if size == 0:
        raise ModelError(f"{WHAT} is empty.")
    if size > MAX_BYTES:
        raise ModelError(f"{WHAT} has {size} bytes; at most {MAX_BYTES} are accepted.")
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if find_container(data[:12]) != "mov":
            raise ModelError(f"{WHAT} is not an mp4.")
        if not is_whole(data, "mov"):
            raise ModelError(f"{WHAT} is cut short.")
        if not is_modest(data, "mov"):
            raise ModelError(f"{WHAT} has too large an index.")


@contextmanager
def _open(source: Path, threads: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        with (
            source.open("rb") as file,
            open_video(
                file, "mov", WHAT, max_pixels=MAX_PIXELS, threads=threads, decoders=ALL_DECODERS, options=STRICT
            ) as opened,
        ):
            yield opened
    except ClipError as error:
        raise ModelError(str(error)) from error

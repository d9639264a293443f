"""Frames into an mp4 that plays everywhere: H.264, yuv420p, bt709 converted and tagged, index at the front."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ffmpeg

from videoapi.encoding.ffmpeg import FFmpeg
from videoapi.encoding.metadata import metadata_options
from videoapi.encoding.thumbnail import write_thumbnail
from videoapi.exceptions import EncodingError, ModelError
from videoapi.types import Audio, Clip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A clip whose brightest sample is at most this is a failure of the model: half precision gone wrong looks so.
BLACK = 1
ALL_BLACK = "Every frame is black; the model's numbers have probably overflowed."


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFormat:
    """What the file must be."""

    width: int
    height: int
    num_frames: int
    fps: int


class Encoder:
    """One mp4 in the making, with a thumbnail of the same name beside it; used in a `with` block.

    Made before the frames are: a missing ffmpeg shows before the model works, and its start costs no time afterwards.
    """

    def __init__(
        self, path: Path, video: VideoFormat, executable: str, metadata: Mapping[str, Any] | None = None
    ) -> None:
        self._path = path
        self._video = video
        self._executable = executable
        self._tags = metadata_options(metadata)
        frames = ffmpeg.input(
            "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{video.width}x{video.height}", r=video.fps
        )
        # ffmpeg would convert with the matrix of standard definition, and an encoder's colour options yield to what
        # its frames say, so the frames are converted and tagged here.
        frames = (
            frames.filter("scale", out_color_matrix="bt709", out_range="tv")
            .filter("format", "yuv420p")
            .filter("setparams", color_primaries="bt709", color_trc="bt709", colorspace="bt709", range="tv")
        )
        self._ffmpeg = FFmpeg(frames.output(str(path), **VIDEO_OPTIONS, **self._tags).overwrite_output(), executable)

    def encode(self, clip: Clip) -> None:
        """Write the whole clip; of its frames, exactly as many as were asked for.

        Raises ModelError for frames that are missing, of the wrong shape, not finite, or all black, and EncodingError
        for ffmpeg's own failures.
        """
        assert clip.frames is not None, "a file is adopted"
        first = self._write(iter(clip.frames))
        self._ffmpeg.end_input()
        # ffmpeg has frames in hand still, so this costs no time.
        try:
            write_thumbnail(first, self._path.with_suffix(".jpg"))
        except EncodingError:
            self._ffmpeg.finish()  # its own reason is the better one
            raise
        self._ffmpeg.finish()
        if clip.audio is not None:
            self._add_audio(clip.audio)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *error: object) -> None:
        self._ffmpeg.kill()

    def _write(self, frames: Iterator[NDArray[Any]]) -> NDArray[np.uint8]:
        """Feed ffmpeg; returns the first frame."""
        count, brightest, first = 0, 0, None
        shape = (self._video.height, self._video.width, 3)
        for frame in islice(frames, self._video.num_frames):
            pixels = to_uint8(frame, count)
            if pixels.shape != shape:
                raise ModelError(f"Frame {count} has shape {pixels.shape}; {shape} was asked for.")
            if brightest <= BLACK:
                brightest = max(brightest, int(pixels.max()))
            if first is None:
                first = pixels.copy()  # the model may use its array again
            self._ffmpeg.write(pixels.data)
            count += 1
        if first is None or count < self._video.num_frames:
            raise too_few(count, self._video)
        if brightest <= BLACK:
            raise ModelError(ALL_BLACK)
        return first

    def _add_audio(self, audio: Audio) -> None:
        samples, silent = self._path.with_suffix(".f32le"), self._path.with_suffix(".silent.mp4")
        _as_float32(audio).tofile(samples)
        self._path.rename(silent)
        sound = ffmpeg.input(str(samples), format="f32le", ar=audio.sample_rate, ac=audio.samples.shape[1])
        duration = self._video.num_frames / self._video.fps
        picture = ffmpeg.input(str(silent), format="mp4")
        options = {"format": "mp4", "vcodec": "copy", "movflags": "+faststart", "acodec": "aac", **self._tags}
        stream = ffmpeg.output(picture, sound, str(self._path), audio_bitrate="192k", t=duration, **options)
        FFmpeg(stream, self._executable).finish()
        samples.unlink()
        silent.unlink()


def trim(frames: Iterable[NDArray[Any]], made: int, wanted: int, *, keep_last: bool) -> Iterator[NDArray[Any]]:
    """`wanted` of the `made` frames: the first ones or, where the last one must stay, an even choice of them."""
    if not keep_last or wanted in (1, made):
        return islice(frames, wanted)
    chosen = {round(i * (made - 1) / (wanted - 1)) for i in range(wanted)}
    return (frame for index, frame in enumerate(frames) if index in chosen)


def too_few(count: int, video: VideoFormat) -> ModelError:
    """To raise for a video that ends early."""
    return ModelError(f"The model made {count} frames of {video.num_frames}.")


def to_uint8(frame: NDArray[Any], index: int) -> NDArray[np.uint8]:
    """The frame as contiguous uint8; floating point in [0, 1] is scaled and rounded, not cut off.

    Raises ModelError for a NaN or an infinity, which numpy would turn into black without a word.
    """
    import numpy as np

    frame = np.asarray(frame)
    if frame.dtype == np.uint8:
        return np.ascontiguousarray(frame)
    if not np.issubdtype(frame.dtype, np.floating):
        raise ModelError(f"Frame {index} is of type {frame.dtype}; uint8 or floating point is due.")
    if not np.isfinite(frame).all():
        raise ModelError(f"Frame {index} holds values that are not finite.")
    return np.ascontiguousarray(np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8))


VIDEO_OPTIONS: Mapping[str, Any] = {
    "format": "mp4",
    "vcodec": "libx264",
    "preset": "superfast",
    "crf": 18,
    "pix_fmt": "yuv420p",
    # A preset gathers ten frames and more before it writes one; a short clip is done sooner without. The mbtree brings
    # back what superfast costs in size.
    "x264-params": "rc-lookahead=2:sync-lookahead=0:bframes=0:mbtree=1",
    "movflags": "+faststart",
}


def _as_float32(audio: Audio) -> NDArray[np.float32]:
    import numpy as np

    samples = np.ascontiguousarray(audio.samples, dtype=np.float32)
    if samples.ndim != 2:
        raise ModelError(f"Audio has shape {samples.shape}; (samples, channels) is due.")
    if not np.isfinite(samples).all():
        raise EncodingError("The audio holds values that are not finite.")
    return samples

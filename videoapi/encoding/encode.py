"""Frames into an mp4 that plays everywhere: H.264, yuv420p, bt709 converted and tagged, index at the front."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ffmpeg

from videoapi.encoding.ffmpeg import FFmpeg
from videoapi.exceptions import EncodingError, ModelError
from videoapi.types import Audio, Clip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A clip whose brightest sample is at most this is a failure of the model: half precision gone wrong looks so.
BLACK = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFormat:
    """What the file must be."""

    width: int
    height: int
    num_frames: int
    fps: int


class Encoder:
    """One mp4 in the making.

    Make it before the frames are ready: ffmpeg starts while the model still works.
    """

    def __init__(
        self,
        path: Path,
        video: VideoFormat,
        executable: str,
        *,
        audio: Audio | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._video = video
        self._audio_path: Path | None = None
        stream = ffmpeg.input(
            "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{video.width}x{video.height}", r=video.fps
        ).filter("scale", out_color_matrix="bt709", out_range="tv")
        inputs, options = [stream], dict(VIDEO_OPTIONS)
        if audio is not None:
            self._audio_path = path.with_suffix(".f32le")
            _as_float32(audio).tofile(self._audio_path)
            inputs.append(
                ffmpeg.input(str(self._audio_path), format="f32le", ar=audio.sample_rate, ac=audio.samples.shape[1])
            )
            options |= {"acodec": "aac", "audio_bitrate": "192k", "t": video.num_frames / video.fps}
        options |= _metadata_options(metadata)
        self._ffmpeg = FFmpeg(ffmpeg.output(*inputs, str(path), **options).overwrite_output(), executable)

    def encode(self, frames: Iterator[NDArray[Any]]) -> None:
        """Feed exactly the frames that were asked for; more are left unread.

        Raises ModelError for frames that are missing, of the wrong shape, not finite, or all black.
        """
        count, brightest = 0, 0
        shape = (self._video.height, self._video.width, 3)
        for frame in islice(frames, self._video.num_frames):
            pixels = to_uint8(frame, count)
            if pixels.shape != shape:
                raise ModelError(f"Frame {count} has shape {pixels.shape}; {shape} was asked for.")
            if brightest <= BLACK:
                brightest = max(brightest, int(pixels.max()))
            self._ffmpeg.write(pixels.data)
            count += 1
        if count < self._video.num_frames:
            raise ModelError(f"The model made {count} frames of {self._video.num_frames}.")
        if brightest <= BLACK:
            raise ModelError("Every frame is black; the model's numbers have probably overflowed.")
        self._ffmpeg.finish()

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *error: Any) -> None:
        self._ffmpeg.__exit__(*error)
        if self._audio_path is not None:
            self._audio_path.unlink(missing_ok=True)


def encode_clip(
    clip: Clip, path: Path, video: VideoFormat, executable: str, metadata: Mapping[str, Any] | None
) -> None:
    """Write the clip to `path`. What is not right about it raises ModelError or EncodingError."""
    if clip.file is not None:
        _remux(clip.file, path, executable, metadata)
        return
    assert clip.frames is not None
    with Encoder(path, video, executable, audio=clip.audio, metadata=metadata) as encoder:
        encoder.encode(iter(clip.frames))


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
    "preset": "veryfast",
    "crf": 18,
    "pix_fmt": "yuv420p",
    "color_primaries": "bt709",
    "color_trc": "bt709",
    "colorspace": "bt709",
    "movflags": "+faststart",
}


def _remux(source: Path, path: Path, executable: str, metadata: Mapping[str, Any] | None) -> None:
    options = {"format": "mp4", "c": "copy", "movflags": "+faststart"} | _metadata_options(metadata)
    stream = ffmpeg.input(str(source), format="mp4", protocol_whitelist="file").output(str(path), **options)
    try:
        with FFmpeg(stream.overwrite_output(), executable) as process:
            process.finish()
    finally:
        source.unlink(missing_ok=True)


def _metadata_options(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """The generation's facts as JSON in the `comment` tag, which every player and ffprobe shows."""
    if not metadata:
        return {}
    return {"metadata": f"comment={json.dumps(metadata, ensure_ascii=False)}"}


def _as_float32(audio: Audio) -> NDArray[np.float32]:
    import numpy as np

    samples = np.ascontiguousarray(audio.samples, dtype=np.float32)
    if samples.ndim != 2:
        raise ModelError(f"Audio has shape {samples.shape}; (samples, channels) is due.")
    if not np.isfinite(samples).all():
        raise EncodingError("The audio holds values that are not finite.")
    return samples

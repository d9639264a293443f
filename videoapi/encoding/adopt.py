"""Makes an mp4 that an engine has encoded the one that was asked for: copied where it can be, else encoded anew.

How long all this may take is the worker's patience with its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ffmpeg

from videoapi.encoding.encode import Encoder, VideoFormat, too_few, trim
from videoapi.encoding.engine_file import ALL_DECODERS, MAX_PIXELS, check_frames, examine, read_frames
from videoapi.encoding.ffmpeg import FFmpeg
from videoapi.encoding.metadata import metadata_options
from videoapi.encoding.thumbnail import write_thumbnail
from videoapi.types import Clip


def adopt(
    source: Path,
    path: Path,
    video: VideoFormat,
    executable: str,
    metadata: Mapping[str, Any] | None = None,
    *,
    keep_last: bool = False,
) -> None:
    """Write the engine's mp4 at `source` to `path` as `Encoder` would, with a thumbnail of the same name beside it.

    H.264 of the right pixel format, rate and frames is not encoded again. Sound is kept, no longer than the video.
    Where there are more frames than asked for, `keep_last` says which go, as in `trim`. Raises ModelError for a file
    that is no readable mp4, of another size, with too few frames or all black, and EncodingError for ffmpeg's own
    failures.
    """
    found = examine(source, video)
    if found.num_frames < video.num_frames:
        raise too_few(found.num_frames, video)
    drops_others = keep_last and video.num_frames not in (1, found.num_frames)
    picture, silent = _read(source)[str(found.index)], path.with_suffix(".silent.mp4")
    if found.is_ready and not drops_others:
        write_thumbnail(check_frames(source, video), path.with_suffix(".jpg"))
        if found.num_frames > video.num_frames:
            # By itself: an ffmpeg older than 6 ends the sound, too, with the last of so many frames.
            _copy(silent, executable, picture, **{"frames:v": video.num_frames})
            picture = _read(silent)["0"]
    else:
        with Encoder(path, video, executable, metadata) as encoder:
            frames = trim(read_frames(source, video), found.num_frames, video.num_frames, keep_last=keep_last)
            encoder.encode(Clip(frames=frames))
        if found.sound is None:
            return
        path.rename(silent)
        picture = _read(silent)["0"]
    options = metadata_options(metadata)
    streams = [picture]
    if (sound := found.sound) is not None:
        # Cut as it is read, for a limit on the output holds for the picture too.
        streams.append(_read(source, t=f"{float(sound.seconds):.6f}")[str(sound.index)])
        options |= {"acodec": "copy"} if sound.is_copied else {"acodec": "aac", "audio_bitrate": "192k"}
    _copy(path, executable, *streams, **options)
    silent.unlink(missing_ok=True)


def _read(path: Path, **options: Any) -> Any:
    # As for PyAV: nothing is guessed, and no other file is opened.
    return ffmpeg.input(
        str(path),
        format="mov",
        format_whitelist="mov",
        protocol_whitelist="file",
        codec_whitelist=",".join(ALL_DECODERS),
        max_pixels=MAX_PIXELS,
        **options,
    )


def _copy(path: Path, executable: str, *streams: Any, **options: Any) -> None:
    """Into one mp4 without what else is known of their files."""
    fixed = {"format": "mp4", "vcodec": "copy", "movflags": "+faststart", "map_metadata": -1, "map_chapters": -1}
    FFmpeg(ffmpeg.output(*streams, str(path), **fixed, **options).overwrite_output(), executable).finish()

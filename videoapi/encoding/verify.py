"""Reads a finished mp4 back, so that what is published is what was asked for."""

from __future__ import annotations

from pathlib import Path

import av

from videoapi.encoding.encode import VideoFormat
from videoapi.exceptions import EncodingError


def verify(path: Path, video: VideoFormat) -> None:
    """Check codec, pixel format, size, rate, number of frames and the index at the front.

    Raises EncodingError that names the first thing that is wrong.
    """
    try:
        with av.open(str(path), format="mp4") as container:
            stream = container.streams.video[0]
            found = {
                "codec": stream.codec_context.name,
                "pixel format": stream.codec_context.pix_fmt,
                "width": stream.codec_context.width,
                "height": stream.codec_context.height,
                "frame rate": stream.average_rate,
                "frames": sum(1 for packet in container.demux(stream) if packet.size),
            }
    except (av.FFmpegError, IndexError, OSError) as error:
        raise EncodingError("The file is not a readable mp4.") from error
    expected = {
        "codec": "h264",
        "pixel format": "yuv420p",
        "width": video.width,
        "height": video.height,
        "frame rate": video.fps,
        "frames": video.num_frames,
    }
    for name, value in expected.items():
        if found[name] != value:
            raise EncodingError(f"The file's {name} is {found[name]}; {value} was asked for.")
    if not has_index_at_front(path):
        raise EncodingError("The file's index is not at its front.")


def has_index_at_front(path: Path) -> bool:
    """True when the `moov` box comes before `mdat` (ISO/IEC 14496-12), so that playback starts before the end."""
    with path.open("rb") as file:
        while header := file.read(8):
            size, kind = int.from_bytes(header[:4], "big"), header[4:]
            if kind in (b"moov", b"mdat"):
                return kind == b"moov"
            if size == 1:
                size = int.from_bytes(file.read(8), "big") - 8
            if size < 8:
                return False
            file.seek(size - 8, 1)
    return False

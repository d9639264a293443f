"""Opens a video file that a stranger has made, with no more of ffmpeg than it takes to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import av
from av.stream import Disposition

from videoapi.encoding.containers import Container

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg", "prores")
# By the names of their decoders, of which an AV1 has several.
DECODERS = (*CODECS, "libdav1d")
THREADS = 4


class ClipError(Exception):
    """The clip cannot be used; the message is a sentence for the client."""


@contextmanager
def open_video(
    file: BinaryIO,
    container: Container,
    what: str,
    *,
    max_pixels: int,
    threads: int,
    decoders: tuple[str, ...] = DECODERS,
    options: Mapping[str, str] | None = None,
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and its video stream; `what` begins the sentence about what is wrong with it.

    `options` are the video decoder's. Whatever is raised in the `with` block means that the file is damaged: raise
    nothing there but ClipError. Raises ClipError.
    """
    # Nothing is guessed and nothing else is opened, whatever the file asks for. The limits hold for the frames that
    # ffmpeg decodes while it looks at the streams, too.
    limits = {
        "format_whitelist": container,
        "protocol_whitelist": "none",
        "codec_whitelist": ",".join(decoders),
        "max_pixels": str(max_pixels),
        "threads": "1",
    }
    try:
        with av.open(file, "r", format=container, options=limits, metadata_errors="replace") as source:
            stream = next((s for s in source.streams.video if not s.disposition & Disposition.attached_pic), None)
            if stream is None:
                raise ClipError(f"{what} has no video.")
            _check_stream(stream, what, max_pixels)
            stream.codec_context.options = {"max_pixels": str(max_pixels), **(options or {})}
            stream.codec_context.thread_count = threads
            yield source, stream
    except av.FFmpegError as error:
        # Its lack of memory, too: a file that asks for too much.
        raise ClipError(f"{what} is damaged.") from error
    except (ClipError, MemoryError):
        raise
    except Exception as error:
        # Files that are damaged on purpose make PyAV raise more than its own errors.
        raise ClipError(f"{what} is damaged.") from error


def too_large(what: str, width: int, height: int, max_pixels: int) -> ClipError:
    """To raise for a video of that size."""
    return ClipError(f"{what} has {width}x{height} pixels; at most {max_pixels} are accepted.")


def _check_stream(stream: VideoStream, what: str, max_pixels: int) -> None:
    context = stream.codec_context
    if context is None or context.codec.canonical_name not in CODECS:
        raise ClipError(f"{what}'s codec is not one of {', '.join(CODECS)}.")
    if context.width * context.height > max_pixels:
        raise too_large(what, context.width, context.height, max_pixels)

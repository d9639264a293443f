"""Frames to mp4 and back: the only package that knows ffmpeg. No Django here: the model's process uses it too."""

from videoapi.encoding.adopt import adopt
from videoapi.encoding.clips import check_clip, read_clip, read_last_frame
from videoapi.encoding.containers import find_container
from videoapi.encoding.encode import Encoder, VideoFormat, trim
from videoapi.encoding.ffmpeg import find_ffmpeg
from videoapi.encoding.metadata import read_metadata
from videoapi.encoding.source import ClipError
from videoapi.encoding.spritesheet import make_spritesheet
from videoapi.encoding.thumbnail import write_thumbnail
from videoapi.encoding.verify import verify

__all__ = [
    "ClipError",
    "Encoder",
    "VideoFormat",
    "adopt",
    "check_clip",
    "find_container",
    "find_ffmpeg",
    "make_spritesheet",
    "read_clip",
    "read_last_frame",
    "read_metadata",
    "trim",
    "verify",
    "write_thumbnail",
]

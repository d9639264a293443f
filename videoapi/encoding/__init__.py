"""Frames to mp4 and back: the only package that knows ffmpeg. No Django here: the model's process uses it too."""

from videoapi.encoding.encode import Encoder, VideoFormat, trim
from videoapi.encoding.ffmpeg import find_ffmpeg
from videoapi.encoding.thumbnail import write_thumbnail
from videoapi.encoding.verify import verify

__all__ = ["Encoder", "VideoFormat", "find_ffmpeg", "trim", "verify", "write_thumbnail"]

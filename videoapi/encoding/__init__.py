"""Frames to mp4 and back: the only package that knows ffmpeg. No Django here: the model's process uses it too."""

from videoapi.encoding.encode import Encoder, VideoFormat, encode_clip
from videoapi.encoding.ffmpeg import find_ffmpeg
from videoapi.encoding.verify import verify, write_thumbnail

__all__ = ["Encoder", "VideoFormat", "encode_clip", "find_ffmpeg", "verify", "write_thumbnail"]

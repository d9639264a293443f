"""Clips that are damaged, or made to do harm. tests/test_hostile_clips.py has more, without a server."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from tests.bad_inputs.case import Case
from tests.clips import encode_clip, greys, refer_to
from tests.images import base64_of

CLIP = encode_clip(greys(8))
NEITHER = "Neither a whole PNG, JPEG or WEBP image nor an mp4, mov, webm or mkv clip."
HLS = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nhttp://127.0.0.1/secret\n#EXT-X-ENDLIST\n"
DASH = b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>"
CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"


def with_duration(seconds: int) -> bytes:
    """The clip whose every header says that it lasts so long, and whose frames do too."""
    data = bytearray(CLIP)
    at = data.index(b"stts") + 4 + 4 + 4
    data[at + 4 : at + 8] = struct.pack(">I", seconds * 2000)
    return bytes(data)


def _clip(name: str, data: bytes, words: str, **fields: Any) -> Case:
    sent = {"model": "watchful-clip", "input_reference": base64_of(data), **fields}
    return Case(name=name, param="input_reference", words=words, fields=sent)


CASES = [
    _clip("an HLS playlist", HLS, NEITHER),
    _clip("a DASH manifest", DASH, NEITHER),
    _clip("a list of ffmpeg's", CONCAT, NEITHER),
    _clip("an SDP", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n", NEITHER),
    _clip("an AVI header", b"RIFF\0\0\0\0AVI LIST", NEITHER),
    _clip("a WAV", b"RIFF\0\0\0\0WAVEfmt ", NEITHER),
    _clip("an Ogg", b"OggS" + bytes(100), NEITHER),
    _clip("an FLV", b"FLV\1\5\0\0\0\x09" + bytes(100), NEITHER),
    _clip("an MPEG stream", b"\0\0\1\xba" + bytes(100), NEITHER),
    _clip("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 " + bytes(100), NEITHER),
    _clip("sound alone", encode_clip((), sound=1), "The clip has no video."),
    _clip("Matroska with sound alone", encode_clip((), kind="mkv", sound=1), "The clip has no video."),
    _clip("frames in another file", refer_to(Path("/etc/passwd"), CLIP[CLIP.index(b"moov") - 4 :]), ""),
    _clip("an exotic codec", encode_clip(greys(8), kind="mov", codec="cinepak", pixels="rgb24"), "codec is not one of"),
    _clip("JPEG 2000 in a mov", encode_clip(greys(2), kind="mov", codec="jpeg2000", pixels="rgb24"), "codec is not"),
    _clip("a clip without codec", encode_clip(greys(8), kind="mkv", codec="ffv1"), "codec is not one of"),
    _clip("frames of 8K", encode_clip(greys(1, 7680, 7680)), "7680x7680 pixels; at most 40000000"),
    _clip("a header alone", b"\0\0\0\x18ftypisom", "damaged"),
    _clip("Matroska's signature alone", b"\x1a\x45\xdf\xa3", "damaged"),
    *(_clip(f"a clip of {length} bytes", CLIP[:length], "The clip is") for length in (40, 400, len(CLIP) - 1)),
    _clip("a clip with an index of zeros", CLIP.replace(b"stsz", b"\0\0\0\0"), ""),
    Case(
        name="a clip for a model of images",
        fields={"input_reference": base64_of(CLIP)},
        param="input_reference",
        words="takes no clip",
    ),
    Case(
        name="a clip and an end image",
        fields={"model": "watchful-clip", "input_reference": base64_of(CLIP), "end_image": base64_of(CLIP)},
        param="end_image",
        words="",
    ),
]  # fmt: skip

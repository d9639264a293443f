"""Clips that are damaged, or made to do harm: each is refused in one sentence, and costs little."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import encode_clip, greys, index_first, refer_to
from tests.images import plain
from tests.test_clips import check, read
from videoapi.encoding import ClipError, clips, find_container

CLIP = encode_clip(greys(8))


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_clip_that_is_cut_short_anywhere_is_refused(kind: str) -> None:
    clip = encode_clip(greys(8), kind=kind)
    for length in range(12, len(clip), 7):
        with pytest.raises(ClipError):
            check(clip[:length])


def test_an_mp4_with_its_index_at_the_front_that_is_cut_short_is_refused() -> None:
    clip = index_first(encode_clip(greys(8)))
    assert check(clip) == (64, 48, 8)
    for length in (len(clip) - 1, len(clip) * 9 // 10, len(clip) // 2):
        with pytest.raises(ClipError, match=r"The clip is cut short\."):
            check(clip[:length])


def test_rubbish_in_place_of_any_part_is_refused_or_read_but_never_more(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for kind in ("mp4", "mkv"):
        clip = encode_clip(greys(8), kind=kind, sound=0.2 if kind == "mp4" else 0)
        for start in range(12, len(clip), 29):
            data = clip[:start] + random.bytes(8) + clip[start + 8 :]
            with contextlib.suppress(ClipError):
                check(data)
            with contextlib.suppress(ClipError):
                assert len(read(data, 8, 8, tmp_path)) <= 8


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encode_clip((), sound=1), "The clip has no video."),
        (encode_clip((), kind="mkv", sound=1), "The clip has no video."),
        (encode_clip(greys(8), kind="mov", codec="cinepak", pixels="rgb24"), "codec is not one of h264, hevc"),
        (encode_clip(greys(8), kind="mkv", codec="ffv1"), "codec is not one of"),
        (encode_clip(greys(2, 2048, 1024)), "has 2048x1024 pixels; at most 1000000 are accepted."),
        (encode_clip(greys(2, 512, 512), sample_aspect_ratio=100), "has 51200x512 pixels"),
        (CLIP[: CLIP.index(b"mdat") - 4], "damaged"),
        (b"\x00\x00\x00\x18ftypisom", "damaged"),
        (b"\x00\x00\x00\x0cftypisom", "damaged"),
        (b"\x1a\x45\xdf\xa3", "damaged"),
        (b"\x1a\x45\xdf\xa3" + bytes(1000), "damaged"),
    ],
)
def test_what_is_no_clip_is_refused_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(ClipError) as error:
        check(data)
    assert words in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(("width", "height"), [(65535, 65535), (16384, 16384)])
def test_a_size_that_is_a_lie_costs_no_memory(width: int, height: int, tmp_path: Path) -> None:
    clip = encode_clip(greys(2), codec="mpeg4")
    start = clip.index(b"mp4v") + 4 + 24
    lie = clip[:start] + struct.pack(">HH", width, height) + clip[start + 4 :]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(ClipError):
        check(lie)
    with contextlib.suppress(ClipError):
        read(lie, 2, 8, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_an_index_that_is_a_lie_costs_no_memory() -> None:
    clip = bytearray(encode_clip(greys(8), codec="mpeg4"))
    for box, skipped, values in ((b"stsz", 4, (1, 2**27)), (b"stts", 8, (2**27,)), (b"stsc", 12, (2**27,))):
        start = clip.index(box) + 4 + skipped
        clip[start : start + 4 * len(values)] = struct.pack(f">{len(values)}I", *values)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ClipError, match=r"The clip's index is too large\."):
        check(bytes(clip))
    with pytest.raises(ClipError, match=r"The clip's index is too large\."):
        check(CLIP + struct.pack(">I4sI4sIII", 28, b"moof", 20, b"trun", 0, 2**27, 0))
    with pytest.raises(ClipError, match=r"The clip's index is too large\."):
        check(CLIP + struct.pack(">I4sI4s", 16, b"moov", 8, b"cmov"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_frames_that_grow_in_the_middle_are_refused(tmp_path: Path) -> None:
    small, large = (
        encode_clip(greys(2, side, side), kind="mkv", codec="mjpeg", pixels="yuvj420p") for side in (64, 2048)
    )
    head = small.index(b"\xff\xd8")
    with av.open(io.BytesIO(large)) as source:
        picture = bytes(next(source.demux(video=0)))
    buffer = io.BytesIO()
    with av.open(io.BytesIO(small)) as source, av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts:
                grown = av.Packet(picture)
                grown.pts = grown.dts = packet.pts
                grown.time_base, packet = packet.time_base, grown
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    assert head > 0
    assert check(buffer.getvalue())[:2] == (64, 64)
    with pytest.raises(ClipError):
        read(buffer.getvalue(), 2, 8, tmp_path)


def test_a_file_that_names_another_one_does_not_make_it_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(CLIP)
    for text in (
        f"ffconcat version 1.0\nfile {secret}\n",
        f"#EXTM3U\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        f"<?xml version='1.0'?><MPD><BaseURL>file://{secret}</BaseURL></MPD>",
        f"file:{secret}",
    ):
        assert find_container(text.encode()) is None
        with pytest.raises(ClipError):
            read(text.encode(), 1, 8, tmp_path)


def test_a_movie_that_keeps_its_frames_in_another_file_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(CLIP)
    moov = CLIP.index(b"moov") - 4
    with pytest.raises(ClipError):
        read(refer_to(secret, CLIP[moov:]), 8, 8, tmp_path)


def test_reading_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "CHECK_SECONDS", -1.0)
    monkeypatch.setattr(clips, "READ_SECONDS", -1.0)
    for look in (lambda: check(CLIP), lambda: read(CLIP, 8, 8, tmp_path)):
        with pytest.raises(ClipError, match="took longer than"):
            look()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (CLIP, "mov"),
        (encode_clip(greys(1), kind="mov"), "mov"),
        (encode_clip(greys(1), kind="mkv"), "matroska"),
        (plain("red"), None),
        (plain("red", kind="JPEG"), None),
        (plain("red", kind="WEBP"), None),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", None),
        (b"", None),
    ],
)
def test_the_bytes_say_what_a_file_is(data: bytes, expected: str | None) -> None:
    assert find_container(data) == expected

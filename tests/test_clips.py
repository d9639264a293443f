"""Clips of every kind into frames, and hostile ones into one sentence."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.clips import convert, corners, encode_clip, grey, greys, index_of, spots, turned, without_durations
from videoapi.encoding import check_clip, read_clip
from videoapi.inputs.images import fit

RED = (200, 60, 90)


def read(data: bytes, num_frames: int, fps: int, tmp_path: Path, width: int = 64, height: int = 48) -> Any:
    path = tmp_path / "clip"
    path.write_bytes(data)
    return read_clip(path, width=width, height=height, num_frames=num_frames, fps=fps, max_pixels=1_000_000)


def check(data: bytes, num_frames: int = 8, fps: int = 8, max_pixels: int = 1_000_000) -> tuple[int, int, int]:
    facts = check_clip(data, num_frames=num_frames, fps=fps, max_pixels=max_pixels)
    return facts.width, facts.height, facts.num_frames


def indices(frames: Any) -> list[int]:
    return [index_of(frame) for frame in frames]


@pytest.mark.parametrize(
    ("kind", "codec", "pixels"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mov", "libx264", "yuv444p"),
        ("mp4", "libx264", "yuv422p10le"),
        ("mp4", "libx264", "yuvj420p"),
        ("mp4", "libx265", "yuv420p10le"),
        ("mp4", "mpeg4", "yuv420p"),
        ("mov", "mjpeg", "yuvj420p"),
        ("mov", "prores_ks", "yuv422p10le"),
        ("webm", "libvpx", "yuv420p"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("webm", "libvpx-vp9", "gbrp"),
        ("webm", "libsvtav1", "yuv420p10le"),
        ("mkv", "libx264", "yuv420p"),
    ],
)
def test_every_container_codec_and_pixel_format_gives_the_same_frames(
    kind: str, codec: str, pixels: str, tmp_path: Path
) -> None:
    clip = encode_clip(greys(8), kind=kind, codec=codec, pixels=pixels)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert check(clip) == (64, 48, 8)
    frames = read(clip, 8, 8, tmp_path)
    assert [(frame.mode, frame.size) for frame in frames] == [("RGB", (64, 48))] * 8
    assert [abs(np.asarray(frame).astype(int) - grey(i)).max() <= 3 for i, frame in enumerate(frames)] == [True] * 8


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("source", "fps", "num_frames", "expected"),
    [
        (8, 16, 16, [i // 2 for i in range(16)]),
        (30, 8, 8, [0, 4, 7, 11, 15, 19, 22, 26]),
        (30, 60, 20, [i // 2 for i in range(20)]),
        (30, 30, 12, list(range(12))),
        (24, 16, 8, [0, 1, 3, 4, 6, 7, 9, 10]),
        (8, 8, 5, list(range(5))),
        (8, 1, 3, [0, 8, 16]),
    ],
)
def test_the_frame_nearest_in_time_is_taken(
    kind: str, source: int, fps: int, num_frames: int, expected: list[int], tmp_path: Path
) -> None:
    clip = encode_clip(greys(30), source, kind=kind)
    assert indices(read(clip, num_frames, fps, tmp_path)) == expected


@pytest.mark.parametrize("kind", ["mp4", "webm"])
def test_a_clip_that_is_shorter_gives_as_many_frames_as_it_lasts(kind: str, tmp_path: Path) -> None:
    clip = encode_clip(greys(4), kind=kind, codec="libx264" if kind == "mp4" else "libvpx-vp9")
    assert indices(read(clip, 100, 16, tmp_path)) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert check(clip, 100, 16) == (64, 48, 8)


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "libx264"), ("mp4", "mjpeg"), ("webm", "libvpx"), ("mkv", "mpeg4")]
)
def test_a_clip_of_one_frame_is_a_clip(kind: str, codec: str, tmp_path: Path) -> None:
    clip = encode_clip(greys(1), kind=kind, codec=codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p")
    assert check(clip)[2] == 1
    assert indices(read(clip, 8, 8, tmp_path)) == [0]


def test_a_variable_frame_rate_is_read_by_its_times(tmp_path: Path) -> None:
    clip = encode_clip(greys(4), kind="mkv", times=[0, 100, 500, 1000])
    assert indices(read(clip, 10, 10, tmp_path)) == [0, 1, 1, 1, 2, 2, 2, 2, 3, 3]
    late = encode_clip(greys(3), kind="mkv", times=[5000, 5125, 5250])
    assert indices(read(late, 3, 8, tmp_path)) == [0, 1, 2]
    assert check(late) == (64, 48, 3)


def test_a_last_frame_that_does_not_say_how_long_it_is_shown_is_shown_as_long_as_the_others(tmp_path: Path) -> None:
    clip = without_durations(encode_clip(greys(6), kind="mkv", times=[0, 50, 250, 300, 400, 625]))
    with av.open(io.BytesIO(clip)) as source:
        assert [packet.duration for packet in source.demux(video=0) if packet.size] == [0] * 6
    assert check(clip, 20, 8) == (64, 48, 6)
    assert indices(read(clip, 20, 8, tmp_path)) == [0, 1, 2, 4, 4, 5]


def test_what_an_edit_list_leaves_out_is_left_out(tmp_path: Path) -> None:
    clip = encode_clip(greys(8), codec="mpeg4")
    start = clip.index(b"elst") + 4 + 8
    duration, _ = struct.unpack(">ii", clip[start : start + 8])
    ticks = struct.unpack(">i", clip[clip.index(b"mdhd") + 16 : clip.index(b"mdhd") + 20])[0]
    edited = clip[:start] + struct.pack(">ii", duration // 2, ticks // 2) + clip[start + 8 :]
    assert indices(read(edited, 8, 8, tmp_path)) == [4, 5, 6, 7]
    assert check(edited) == (64, 48, 4)


@pytest.mark.parametrize(
    ("matrix", "expected", "size"),
    [
        ((1, 0, 0, 1), "rgbw", (64, 48)),
        ((-1, 0, 0, -1), "wbgr", (64, 48)),
        ((-1, 0, 0, 1), "grwb", (64, 48)),
        ((1, 0, 0, -1), "bwrg", (64, 48)),
        ((0, 1, -1, 0), "brwg", (48, 64)),
        ((0, -1, 1, 0), "gwrb", (48, 64)),
        ((0, 1, 1, 0), "rbgw", (48, 64)),
        ((0, -1, -1, 0), "wgbr", (48, 64)),
        ((0, 0, 0, 0), "rgbw", (64, 48)),
    ],
)
def test_a_clip_is_turned_upright(
    matrix: tuple[int, int, int, int], expected: str, size: tuple[int, int], tmp_path: Path
) -> None:
    clip = turned(encode_clip([spots()] * 2), matrix)
    assert check(clip)[:2] == size
    assert corners(read(clip, 2, 8, tmp_path, *size)[0]) == expected


def test_a_quarter_turn_is_the_one_that_players_make(tmp_path: Path) -> None:
    # A phone held upright: 0x10000 at b and -0x10000 at c, which is 90 degrees clockwise.
    clip = turned(encode_clip([spots()] * 2), (0, 1, -1, 0))
    upright = Image.fromarray(spots()).rotate(-90, expand=True)
    assert corners(read(clip, 1, 8, tmp_path, 48, 64)[0]) == corners(upright)


def test_a_frame_is_scaled_and_cut_as_an_image_is(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:48, 0:96]
    picture = np.stack((rows * 4, columns * 2, 255 - columns * 2), -1).astype(np.uint8)
    (frame,) = read(encode_clip([picture], pixels="yuv444p"), 1, 8, tmp_path, 32, 32)
    expected = fit(Image.fromarray(picture), 32, 32)
    assert np.abs(np.asarray(frame).astype(int) - np.asarray(expected)).mean() < 2


def test_wide_pixels_are_shown_wide(tmp_path: Path) -> None:
    clip = encode_clip([spots()] * 2, sample_aspect_ratio=2)
    assert check(clip)[:2] == (128, 48)
    assert corners(read(clip, 1, 8, tmp_path, 128, 48)[0]) == "rgbw"


@pytest.mark.parametrize("matrix", [1, 5], ids=["bt709", "bt601"])
def test_the_matrix_that_a_clip_names_is_used(matrix: int, tmp_path: Path) -> None:
    clip = encode_clip([np.full((48, 64, 3), RED, np.uint8)], pixels="yuv444p", colorspace=matrix)
    (frame,) = read(clip, 1, 8, tmp_path)
    assert np.abs(np.asarray(frame).astype(int) - RED).max() <= 4


@pytest.mark.parametrize(("matrix", "size"), [(5, (64, 48)), (1, (1280, 32))], ids=["bt601", "bt709"])
def test_a_clip_that_names_no_matrix_is_read_as_players_do(matrix: int, size: tuple[int, int], tmp_path: Path) -> None:
    frame = convert(np.full((size[1], size[0], 3), RED, np.uint8), "yuv444p", matrix)
    pixels = frame.to_ndarray()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream: Any = output.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "yuv444p")))
        output.mux(stream.encode())
    (read_back,) = read(buffer.getvalue(), 1, 8, tmp_path, *size)
    assert np.abs(np.asarray(read_back).astype(int) - RED).max() <= 4


def test_transparency_is_on_white(tmp_path: Path) -> None:
    clear = np.zeros((48, 64, 4), np.uint8)
    clear[:, 32:] = (255, 0, 0, 255)
    clip = encode_clip([clear] * 2, kind="mov", codec="prores_ks", pixels="yuva444p10le")
    frame = np.asarray(read(clip, 2, 8, tmp_path)[0]).astype(int)
    assert np.abs(frame[24, 8] - 255).max() <= 4
    assert np.abs(frame[24, 56] - (255, 0, 0)).max() <= 8


def test_sound_is_passed_over(tmp_path: Path) -> None:
    clip = encode_clip(greys(8), kind="mp4", sound=2)
    assert check(clip) == (64, 48, 8)
    assert indices(read(clip, 16, 8, tmp_path)) == list(range(8))


def test_no_more_than_the_videos_length_is_read() -> None:
    width, height, num_frames = check(encode_clip(greys(30), 10), num_frames=5, fps=10)
    assert (width, height) == (64, 48)
    assert 5 < num_frames < 15

"""Frames to mp4 with the real ffmpeg."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.conftest import need
from tests.videos import read
from videoapi import Audio, Clip, ModelError
from videoapi.encoding import Encoder, VideoFormat, find_ffmpeg, trim, verify
from videoapi.encoding import ffmpeg as ffmpeg_module
from videoapi.encoding.verify import has_index_at_front
from videoapi.exceptions import EncodingError

FORMAT = VideoFormat(width=64, height=48, num_frames=6, fps=5)
FFMPEG = find_ffmpeg("")


def paint(count: int, *colors: tuple[int, int, int]) -> list[Any]:
    return [np.full((48, 64, 3), colors[i % len(colors)], np.uint8) for i in range(count)]


def encode(folder: Path, frames: Any, video: VideoFormat = FORMAT, **clip: Any) -> Path:
    path = folder / "video.mp4"
    with Encoder(path, video, FFMPEG) as encoder:
        encoder.encode(Clip(frames=frames, **clip))
    return path


def test_the_file_plays_everywhere(tmp_path: Path) -> None:
    path = encode(tmp_path, paint(6, (200, 30, 30)))
    verify(path, FORMAT)
    video = read(path.read_bytes())
    assert (video.codec, video.pixel_format, len(video.frames), video.rate) == ("h264", "yuv420p", 6, 5)
    assert has_index_at_front(path)


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128, 64, 200)])
def test_colours_are_converted_and_tagged_as_bt709(tmp_path: Path, color: tuple[int, int, int]) -> None:
    path = encode(tmp_path, paint(6, color))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)  # 1 is bt709
        frame = next(container.decode(video=0))
        y, u, v = (
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width].mean()
            for plane in frame.planes
        )
    red, green, blue = (value / 255 for value in color)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    expected = (16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748)
    assert np.abs(np.array((y, u, v)) - expected).max() < 2.5


def test_floating_point_is_rounded_not_cut_off(tmp_path: Path) -> None:
    path = encode(tmp_path, (np.full((48, 64, 3), 0.999, np.float32) for _ in range(6)))
    assert read(path.read_bytes()).frames.min() >= 254


def test_more_frames_than_asked_for_are_left_unread(tmp_path: Path) -> None:
    drawn = []

    def frames() -> Iterator[Any]:
        for frame in paint(100, (9, 99, 199)):
            drawn.append(frame)
            yield frame

    verify(encode(tmp_path, frames()), FORMAT)
    assert len(drawn) == 6


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (paint(5, (9, 9, 9)), "The model made 5 frames of 6."),
        (paint(6, (0, 0, 0)), "Every frame is black"),
        (paint(6, (1, 0, 1)), "Every frame is black"),
        ([np.full((48, 64, 3), np.nan)] * 6, "Frame 0 holds values that are not finite."),
        ([*paint(3, (9, 9, 9)), np.full((48, 64, 3), np.inf)], "Frame 3 holds values that are not finite."),
        ([np.zeros((48, 64), np.uint8)] * 6, r"Frame 0 has shape \(48, 64\)"),
        ([np.zeros((48, 64, 3), np.int64)] * 6, "Frame 0 is of type int64"),
    ],
)
def test_a_wrong_clip_is_a_model_error(tmp_path: Path, frames: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        encode(tmp_path, frames)


def test_one_black_frame_among_others_is_fine(tmp_path: Path) -> None:
    verify(encode(tmp_path, [*paint(5, (0, 0, 0)), *paint(1, (90, 90, 90))]), FORMAT)


def test_audio_becomes_aac_of_the_videos_length(tmp_path: Path) -> None:
    samples = np.sin(np.arange(48000 * 5) / 20)[:, None].repeat(2, 1).astype(np.float32)
    path = encode(tmp_path, paint(6, (200, 30, 30)), audio=Audio(samples=samples, sample_rate=48000))
    verify(path, FORMAT)
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        assert (sound.codec_context.name, sound.codec_context.sample_rate, sound.channels) == ("aac", 48000, 2)
        assert abs(float(sound.duration * sound.time_base) - 1.2) < 0.05
    assert sorted(file.name for file in tmp_path.iterdir()) == ["video.jpg", "video.mp4"]


def test_metadata_survives_quotes_line_breaks_and_other_scripts(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with Encoder(path, FORMAT, FFMPEG, {"prompt": 'a "b"; c=d\n猫 é'}) as encoder:
        encoder.encode(Clip(frames=paint(6, (200, 30, 30))))
    assert read(path.read_bytes()).metadata["comment"] == '{"prompt": "a \\"b\\"; c=d\\n猫 é"}'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 32}, "The file's width is 64; 32 was asked for."),
        ({"height": 32}, "The file's height is 48; 32 was asked for."),
        ({"num_frames": 7}, "The file's frames is 6; 7 was asked for."),
        ({"fps": 8}, "The file's frame rate is 5; 8 was asked for."),
    ],
)
def test_a_file_that_is_not_what_was_asked_for_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = encode(tmp_path, paint(6, (200, 30, 30)))
    values = {"width": 64, "height": 48, "num_frames": 6, "fps": 5, **change}
    with pytest.raises(EncodingError, match=message):
        verify(path, VideoFormat(**values))


@pytest.mark.parametrize("cut", [0, 100, 700])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = encode(tmp_path, paint(6, (200, 30, 30), (30, 30, 200)))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(EncodingError):
        verify(path, FORMAT)


def test_an_mp4_with_another_codec_is_refused(tmp_path: Path) -> None:
    path, other = encode(tmp_path, paint(6, (200, 30, 30))), tmp_path / "other.mp4"
    subprocess.run([FFMPEG, "-loglevel", "error", "-i", path, "-c:v", "mpeg4", other], check=True)
    with pytest.raises(EncodingError, match="codec is mpeg4; h264"):
        verify(other, FORMAT)


def test_a_thumbnail_is_a_small_jpeg_of_the_first_frame(tmp_path: Path) -> None:
    from PIL import Image

    video = VideoFormat(width=640, height=320, num_frames=2, fps=5)
    frame = np.empty((320, 640, 3), np.uint8)

    def frames() -> Iterator[Any]:
        for color in ((200, 30, 30), (30, 200, 30)):
            frame[:] = color
            yield frame

    encode(tmp_path, frames(), video)
    with Image.open(tmp_path / "video.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (320, 160))
        assert np.abs(np.asarray(image).astype(int).mean((0, 1)) - (200, 30, 30)).max() < 6


def test_ffmpegs_last_words_are_in_the_error(tmp_path: Path) -> None:
    with (
        pytest.raises(EncodingError, match="ffmpeg ended with status") as error,
        Encoder(tmp_path / "missing" / "video.mp4", FORMAT, FFMPEG) as encoder,
    ):
        encoder.encode(Clip(frames=paint(6, (200, 30, 30))))
    assert str(tmp_path) not in error.value.message


def test_an_ffmpeg_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg_module, "STALL_SECONDS", 0.2)
    hanging = tmp_path / "ffmpeg"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    large = VideoFormat(width=640, height=480, num_frames=6, fps=5)
    with (
        pytest.raises(EncodingError, match="took no data for"),
        Encoder(tmp_path / "video.mp4", large, str(hanging)) as encoder,
    ):
        encoder.encode(Clip(frames=[np.full((480, 640, 3), 99, np.uint8)] * 6))
    with (
        pytest.raises(EncodingError, match="did not end within"),
        Encoder(tmp_path / "video.mp4", FORMAT, str(hanging)) as encoder,
    ):
        encoder.encode(Clip(frames=[paint(1, (9, 9, 9))[0]] * 6))


def test_leaving_early_ends_ffmpeg(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Encoder(tmp_path / "video.mp4", FORMAT, FFMPEG) as encoder:
        process = encoder._ffmpeg._process
        raise KeyError
    assert process.poll() is not None


def test_a_configured_ffmpeg_is_used_and_must_exist() -> None:
    need("ffmpeg", "ffmpeg")
    assert find_ffmpeg("ffmpeg").endswith("/ffmpeg")
    with pytest.raises(EncodingError, match="The configured ffmpeg does not exist"):
        find_ffmpeg("/nonexistent/ffmpeg")


def test_the_systems_ffmpeg_makes_the_same_promises(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with Encoder(path, FORMAT, need("ffmpeg", "ffmpeg")) as encoder:
        encoder.encode(Clip(frames=paint(6, (200, 30, 30))))
    verify(path, FORMAT)


@pytest.mark.parametrize(
    ("made", "wanted", "keep_last", "expected"),
    [
        (9, 7, False, [0, 1, 2, 3, 4, 5, 6]),
        (9, 7, True, [0, 1, 3, 4, 5, 7, 8]),
        (17, 16, True, [*range(8), *range(9, 17)]),
        (5, 5, True, [0, 1, 2, 3, 4]),
        (5, 1, True, [0]),
        (5, 2, True, [0, 4]),
    ],
)
def test_trimming_keeps_the_first_frames_or_first_and_last(
    made: int, wanted: int, keep_last: bool, expected: list[int]
) -> None:
    assert list(trim(range(made), made, wanted, keep_last=keep_last)) == expected  # type: ignore[arg-type, comparison-overlap]

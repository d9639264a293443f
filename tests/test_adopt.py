"""An engine's finished mp4 becomes the one that was asked for. Real files, of the real ffmpeg."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import encode_clip, grey, greys, index_of, turned
from tests.conftest import need
from tests.engine_files import FFMPEG, FORMAT, make, payloads
from tests.videos import read
from videoapi.encoding import VideoFormat, adopt, verify
from videoapi.encoding.verify import has_index_at_front


def take(source: Path, video: VideoFormat = FORMAT, ffmpeg: str = FFMPEG, **options: Any) -> Path:
    path = source.with_name("video.mp4")
    adopt(source, path, video, ffmpeg, **options)
    verify(path, video)
    with av.open(str(path.with_suffix(".jpg"))) as picture:
        assert (picture.streams.video[0].width, picture.streams.video[0].height) == (video.width, video.height)
    assert not list(source.parent.glob("*.silent.mp4"))
    return path


def shown(path: Path) -> list[int]:
    return [index_of(frame) for frame in read(path.read_bytes()).frames]


def seconds_of_sound(path: Path) -> float:
    """Decoded."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].codec_context.sample_rate
        return float(sum(frame.samples for frame in container.decode(audio=0)) / rate)


@pytest.mark.parametrize("ffmpeg", ["brought", "system"])
@pytest.mark.parametrize("bframes", ["0", "3"])
@pytest.mark.parametrize("fps", [8, 24, 30])
def test_what_is_right_is_copied_byte_for_byte(tmp_path: Path, ffmpeg: str, bframes: str, fps: int) -> None:
    program = FFMPEG if ffmpeg == "brought" else need("ffmpeg", "ffmpeg")
    source = make(tmp_path, "-bf", bframes, "-metadata", "title=theirs", fps=fps)
    assert not has_index_at_front(source)
    path = take(source, replace(FORMAT, fps=fps), program, metadata={"prompt": 'a "b"; c=d\n猫'})
    assert payloads(path) == payloads(source)
    assert has_index_at_front(path)
    metadata = read(path.read_bytes()).metadata
    assert metadata["comment"] == '{"prompt": "a \\"b\\"; c=d\\n猫"}'
    assert "title" not in metadata
    with av.open(str(path)) as container:
        times = sorted(packet.pts * packet.time_base for packet in container.demux(video=0) if packet.pts is not None)
    assert [time * fps for time in times] == list(range(9))


def test_b_frames_are_really_tested(tmp_path: Path) -> None:
    with av.open(str(make(tmp_path, "-bf", "3"))) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert times != sorted(times)


def test_a_file_of_pyav_is_copied(tmp_path: Path) -> None:
    source = tmp_path / "made.mp4"
    source.write_bytes(encode_clip(greys(9), 8))
    assert payloads(take(source)) == payloads(source)


def test_of_the_sources_own_metadata_and_other_streams_nothing_is_left(tmp_path: Path) -> None:
    plain, subtitles = make(tmp_path, sound=1.125, name="plain"), tmp_path / "words.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:01,000\nsecret words\n")
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=secret chapter\n")
    source = tmp_path / "made.mp4"
    inputs = [part for file in (plain, subtitles, chapters) for part in ("-i", str(file))]
    maps = ["-map", "1:s", "-map", "0:v", "-map", "0:v", "-map", "0:a", "-map_chapters", "2"]
    words = ["-metadata", "artist=secret", "-metadata:s:v", "handler_name=secret", "-metadata:s:a", "language=deu"]
    codecs = ["-c", "copy", "-c:s", "mov_text", "-timecode", "01:00:00:00"]
    subprocess.run([FFMPEG, "-loglevel", "error", *inputs, *maps, *codecs, *words, str(source)], check=True)
    assert b"secret" in source.read_bytes()
    path = take(source)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert "deu" not in str([stream.metadata for stream in container.streams])
        assert not container.chapters()
        assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands", "encoder"}
    assert b"secret" not in path.read_bytes()
    assert payloads(path) == payloads(plain)


def test_frames_at_the_end_that_were_not_asked_for_go_without_encoding_where_that_can_be(tmp_path: Path) -> None:
    source = make(tmp_path, "-bf", "0", count=12, sound=1.5)
    path = take(source)
    assert shown(path) == list(range(9))
    assert payloads(path) == payloads(source)[:9]
    assert 1.09 < seconds_of_sound(path) <= 1.125


def test_frames_at_the_end_that_others_were_coded_with_go_all_the_same(tmp_path: Path) -> None:
    source = make(tmp_path, "-bf", "3", "-x264-params", "b-adapt=0:scenecut=0", count=13)
    path = take(source, replace(FORMAT, num_frames=11))
    assert shown(path) == list(range(11))
    assert payloads(path) != payloads(source)[:11]


@pytest.mark.parametrize("bframes", ["0", "3"])
@pytest.mark.parametrize(("wanted", "expected"), [(7, [0, 1, 3, 4, 5, 7, 8]), (9, list(range(9))), (1, [0])])
def test_with_an_end_image_the_last_frame_stays(tmp_path: Path, wanted: int, expected: list[int], bframes: str) -> None:
    assert shown(take(make(tmp_path, "-bf", bframes), replace(FORMAT, num_frames=wanted), keep_last=True)) == expected


@pytest.mark.parametrize(
    "options",
    [
        ("-c:v", "mpeg4"),
        ("-c:v", "libvpx-vp9"),
        ("-c:v", "libx265", "-x265-params", "log-level=none"),
        ("-pix_fmt", "yuv444p"),
        ("-pix_fmt", "yuv420p10le"),
        ("-vf", "scale=out_range=pc", "-pix_fmt", "yuvj420p"),
        ("-r", "8", "-video_track_timescale", "1001"),
        ("-movflags", "frag_keyframe+delay_moov"),
        ("-bf", "0", "-bsf:v", "setts=duration=if(eq(N\\,8)\\,DURATION*3\\,DURATION)"),
    ],
)
def test_another_kind_of_mp4_is_encoded_anew_or_copied_and_shows_the_same(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = take(make(tmp_path, *options, sound=1.125), metadata={"seed": 7})
    assert shown(path) == list(range(9))
    assert read(path.read_bytes()).metadata["comment"] == '{"seed": 7}'
    assert abs(seconds_of_sound(path) - 1.125) < 0.03


def test_a_frame_that_comes_a_little_late_is_put_in_its_place(tmp_path: Path) -> None:
    source = tmp_path / "made.mp4"
    times = [125 * number + 10 * (number == 4) for number in range(9)]
    source.write_bytes(encode_clip(greys(9), 8, times=times, sound=1))
    path = take(source)
    assert shown(path) == list(range(9))
    assert seconds_of_sound(path) > 0.95
    with av.open(str(path)) as container:
        assert [packet.pts * packet.time_base * 8 for packet in container.demux(video=0) if packet.size] == [*range(9)]


def test_a_file_in_fragments_whose_frames_begin_late_begins_at_once(tmp_path: Path) -> None:
    source = make(tmp_path, "-bf", "3", "-movflags", "frag_keyframe+empty_moov", sound=1.125)
    with av.open(str(source)) as container:
        assert container.streams.video[0].start_time
    path = take(source)
    assert shown(path) == list(range(9))
    with av.open(str(path)) as container:
        assert [stream.start_time for stream in container.streams] == [0, 0]


def test_a_turned_video_is_put_upright(tmp_path: Path) -> None:
    source = tmp_path / "made.mp4"
    frame = np.full((64, 48, 3), 30, np.uint8)
    frame[:32] = 220
    source.write_bytes(turned(encode_clip([frame] * 9), (0, 1, -1, 0)))
    first = read(take(source).read_bytes()).frames[0].astype(int)
    assert first[:, -20:].mean() > 200
    assert first[:, :20].mean() < 50


def test_the_frames_count_not_their_rate_and_sound_that_no_longer_fits_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        path = take(make(tmp_path, fps=16, sound=0.5))
    assert shown(path) == list(range(9))
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert "the sound of the engine's file is left out" in caplog.text


def test_sound_survives_a_rate_that_is_nearly_right(tmp_path: Path) -> None:
    path = take(make(tmp_path, "-r", "7.99", sound=1.125))
    assert abs(seconds_of_sound(path) - 1.125) < 0.03


@pytest.mark.parametrize("ffmpeg", ["brought", "system"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus", "flac", "alac"])
@pytest.mark.parametrize("seconds", [0.5, 1.125, 3])
def test_sound_is_kept_and_never_longer_than_the_video(tmp_path: Path, codec: str, seconds: float, ffmpeg: str) -> None:
    program = FFMPEG if ffmpeg == "brought" else need("ffmpeg", "ffmpeg")
    source = make(tmp_path, "-c:a", codec, "-strict", "experimental", sound=seconds)
    path = take(source, ffmpeg=program)
    assert payloads(path) == payloads(source)
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        assert (sound.codec_context.name, sound.codec_context.sample_rate) == ("aac", 48000)
        length = float(sound.duration * sound.time_base)
        assert min(seconds, 1.125) - 0.045 < length <= 1.125 + 0.0001
    if codec == "aac":
        kept = payloads(path, "audio")
        assert kept == payloads(source, "audio")[: len(kept)]
    if codec == "aac" and seconds <= 1.125:
        assert payloads(path, "audio") == payloads(source, "audio")


@pytest.mark.parametrize("ffmpeg", ["brought", "system"])
def test_a_video_shorter_than_a_packet_of_its_sound_has_sound(tmp_path: Path, ffmpeg: str) -> None:
    program = FFMPEG if ffmpeg == "brought" else need("ffmpeg", "ffmpeg")
    path = take(make(tmp_path, fps=60, sound=1), replace(FORMAT, num_frames=1, fps=60), program)
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        assert 0 < float(sound.duration * sound.time_base) <= 1 / 60 + 0.0001


def test_one_bright_frame_among_black_ones_is_fine(tmp_path: Path) -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    source = make(tmp_path, frames=[*[black] * 8, np.full_like(black, grey(9))])
    assert payloads(take(source)) == payloads(source)

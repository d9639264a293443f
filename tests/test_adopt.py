"""An engine's finished mp4 becomes the one that was asked for. Real files, of the real ffmpeg."""

from __future__ import annotations

import logging
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import encode_clip, grey, greys, index_of, refer_to, turned
from tests.conftest import need
from tests.videos import read
from videoapi import Audio, Cancelled, Clip, ConfigurationError, ModelError
from videoapi.encoding import VideoFormat, adopt, engine_file, find_ffmpeg, verify
from videoapi.encoding.verify import has_index_at_front
from videoapi.engine.model_process import run_job
from videoapi.exceptions import EncodingError

FORMAT = VideoFormat(width=64, height=48, num_frames=9, fps=8)
FFMPEG = find_ffmpeg("")
TONE = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration={}")


def make(
    folder: Path, *options: str, count: int = 9, fps: int = 8, sound: float = 0, frames: Any = None, name: str = "made"
) -> Path:
    """Grey frames that tell their number, through ffmpeg with these options, as a new mp4."""
    path = folder / f"{name}.mp4"
    pixels = np.stack(greys(count) if frames is None else frames)
    size = f"{pixels.shape[2]}x{pixels.shape[1]}"
    tone = [part.format(sound) for part in TONE] if sound else []
    picture = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(fps), "-i", "pipe:"]
    usual = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = [FFMPEG, "-y", "-loglevel", "error", *picture, *tone, *usual, *options, str(path)]
    subprocess.run(command, input=pixels.tobytes(), check=True)
    return path


def take(source: Path, video: VideoFormat = FORMAT, ffmpeg: str = FFMPEG, **options: Any) -> Path:
    path = source.with_name("video.mp4")
    adopt(source, path, video, ffmpeg, **options)
    verify(path, video)
    with av.open(str(path.with_suffix(".jpg"))) as picture:
        assert (picture.streams.video[0].width, picture.streams.video[0].height) == (video.width, video.height)
    assert not list(source.parent.glob("*.silent.mp4"))
    return path


def payloads(path: Path, kind: str = "video") -> list[bytes]:
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


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


@pytest.mark.parametrize(("wanted", "expected"), [(7, [0, 1, 3, 4, 5, 7, 8]), (9, list(range(9))), (1, [0])])
def test_with_an_end_image_the_last_frame_stays(tmp_path: Path, wanted: int, expected: list[int]) -> None:
    assert shown(take(make(tmp_path), replace(FORMAT, num_frames=wanted), keep_last=True)) == expected


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
    ],
)
def test_another_kind_of_mp4_is_encoded_anew_or_copied_and_shows_the_same(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = take(make(tmp_path, *options, sound=1.125), metadata={"seed": 7})
    assert shown(path) == list(range(9))
    assert read(path.read_bytes()).metadata["comment"] == '{"seed": 7}'
    assert abs(seconds_of_sound(path) - 1.125) < 0.03


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


def rubbish_within(clip: bytes) -> bytes:
    """The frames' bytes are spoilt, the index is whole."""
    start = clip.index(b"mdat") + 4 + 900
    return clip[:start] + b"\xa5" * 400 + clip[start + 400 :]


def noise(count: int = 9) -> list[Any]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(count)]


GOOD = encode_clip(noise(), 8)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The engine's file is empty."),
        (b"this is not a video\n" * 50, "The engine's file is not an mp4."),
        (b"\0", "The engine's file is not an mp4."),
        (encode_clip(greys(9), kind="webm", codec="libvpx-vp9"), "The engine's file is not an mp4."),
        (GOOD[:700], "The engine's file is cut short."),
        (GOOD[:-1], "The engine's file is cut short."),
        (GOOD[: GOOD.index(b"moov") - 4], "The engine's file is damaged."),
        (rubbish_within(GOOD), "The engine's file is damaged."),
        (rubbish_within(encode_clip(noise(), 8, codec="mpeg4")), "The engine's file is damaged."),
        (encode_clip((), sound=1), "The engine's file has no video."),
        (encode_clip(greys(9, 128, 96), 8), "The engine's file has 128x96 pixels; 64x48 was asked for."),
        (encode_clip(greys(9, 48, 64), 8), "The engine's file has 48x64 pixels; 64x48 was asked for."),
        (encode_clip(greys(9), 8, sample_aspect_ratio=2), "The engine's file has 128x48 pixels; 64x48 was asked for."),
        (encode_clip(greys(8), 8), "The model made 8 frames of 9."),
        (encode_clip(greys(8), 8, codec="mpeg4"), "The model made 8 frames of 9."),
        (encode_clip([np.zeros((48, 64, 3), np.uint8)] * 9, 8), "Every frame is black"),
        (encode_clip([np.zeros((48, 64, 3), np.uint8)] * 9, 8, codec="mpeg4"), "Every frame is black"),
        (encode_clip(greys(9), kind="mov", codec="cinepak", pixels="rgb24"), "codec is not one of h264, hevc"),
    ],
)
@pytest.mark.parametrize("keep_last", [False, True])
def test_a_file_that_is_no_such_video_is_a_model_error(
    tmp_path: Path, data: bytes, message: str, keep_last: bool
) -> None:
    source = tmp_path / "made.mp4"
    source.write_bytes(data)
    with pytest.raises(ModelError) as error:
        adopt(source, tmp_path / "video.mp4", FORMAT, FFMPEG, keep_last=keep_last)
    assert error.value.message.startswith(message) or message in error.value.message
    assert error.value.message.endswith(".")
    assert str(tmp_path) not in error.value.message


def test_one_bright_frame_among_black_ones_is_fine(tmp_path: Path) -> None:
    black = np.zeros((48, 64, 3), np.uint8)
    source = make(tmp_path, frames=[*[black] * 8, np.full_like(black, grey(9))])
    assert payloads(take(source)) == payloads(source)


def test_a_file_that_names_another_is_refused(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden.mp4"
    hidden.write_bytes(GOOD)
    source = tmp_path / "made.mp4"
    source.write_bytes(refer_to(hidden, GOOD[GOOD.index(b"moov") - 4 :]))
    with pytest.raises(ModelError, match="The engine's file"):
        adopt(source, tmp_path / "video.mp4", FORMAT, FFMPEG)


def test_sound_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path, "-c:a", "truehd", "-strict", "experimental", sound=1)
    with pytest.raises(ModelError, match="has sound of another kind than aac, mp3"):
        adopt(source, tmp_path / "video.mp4", FORMAT, FFMPEG)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_file, "MAX_BYTES", 1000)
    with pytest.raises(ModelError, match=r"The engine's file has \d+ bytes; at most 1000 are accepted\."):
        adopt(make(tmp_path), tmp_path / "video.mp4", FORMAT, FFMPEG)
    with pytest.raises(ModelError, match=r"The engine's file does not exist\."):
        adopt(tmp_path / "none.mp4", tmp_path / "video.mp4", FORMAT, FFMPEG)


def test_an_index_that_is_a_lie_is_refused(tmp_path: Path) -> None:
    at = GOOD.index(b"stsz") + 12
    source = tmp_path / "made.mp4"
    source.write_bytes(GOOD[:at] + (2**27).to_bytes(4, "big") + GOOD[at + 4 :])
    with pytest.raises(ModelError, match=r"The engine's file has too large an index\."):
        adopt(source, tmp_path / "video.mp4", FORMAT, FFMPEG)


def test_rubbish_anywhere_is_a_model_error_or_a_video(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    source, path = tmp_path / "made.mp4", tmp_path / "video.mp4"
    for start in range(0, len(GOOD), len(GOOD) // 60):
        source.write_bytes(GOOD[:start] + random.bytes(8) + GOOD[start + 8 :])
        try:
            adopt(source, path, FORMAT, FFMPEG)
        except (ModelError, EncodingError):
            continue
        verify(path, FORMAT)


class Engine:
    """A pipeline that hands out a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def generate(self, request: Any, progress: Any) -> Clip:
        return Clip(file=self.file)


class FakeChannel:
    """What run_job needs of a channel, without a worker at its other end."""

    def __init__(self, *, is_cancelled: bool = False) -> None:
        self.messages: list[Any] = []
        self.cancelled = threading.Event()
        if is_cancelled:
            self.cancelled.set()

    def send(self, **message: Any) -> None:
        self.messages.append(message)


def job(folder: Path) -> dict[str, Any]:
    size = {"width": 64, "height": 48, "num_frames": 9, "fps": 8}
    words = {"prompt": "", "negative_prompt": "", "num_inference_steps": 1, "guidance_scale": 1.0, "seed": 0}
    return {
        "request": {**size, **words},
        "video": size,
        "start_image": None,
        "end_image": None,
        "clip": None,
        "output": str(folder / "video.mp4"),
        "ffmpeg": "",
        "metadata": None,
    }


@pytest.mark.parametrize(
    ("data", "is_cancelled", "error"),
    [
        (GOOD, False, None),
        (encode_clip(greys(9), 8, codec="mpeg4"), False, None),
        (GOOD[:-50], False, ModelError),
        (b"", False, ModelError),
        (GOOD, True, Cancelled),
    ],
)
def test_the_engines_file_is_gone_whatever_became_of_it(
    tmp_path: Path, data: bytes, is_cancelled: bool, error: type[Exception] | None
) -> None:
    scratch, file = tmp_path / "scratch", tmp_path / "engine" / "made.mp4"
    scratch.mkdir()
    file.parent.mkdir()
    file.write_bytes(data)
    channel: Any = FakeChannel(is_cancelled=is_cancelled)
    if error is None:
        timings = run_job(Engine(file), job(scratch), channel)
        assert timings["encoding"] > 0
        verify(scratch / "video.mp4", FORMAT)
    else:
        with pytest.raises(error):
            run_job(Engine(file), job(scratch), channel)
    assert {"kind": "phase", "phase": "encoding"} in channel.messages
    assert list(file.parent.iterdir()) == []
    assert {path.name for path in scratch.iterdir()} <= {"video.mp4", "video.jpg"}


def test_an_engines_file_that_is_none_or_cannot_be_moved_says_so(tmp_path: Path) -> None:
    channel: Any = FakeChannel()
    for file in (tmp_path, tmp_path / "none.mp4"):
        with pytest.raises(ModelError, match=r"The engine's file does not exist\."):
            run_job(Engine(file), job(tmp_path), channel)
    file = tmp_path / "made.mp4"
    file.write_bytes(GOOD)
    with pytest.raises(EncodingError, match=r"The engine's file could not be taken over: No such file or directory\."):
        run_job(Engine(file), job(tmp_path / "missing"), channel)
    assert not file.exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either frames or a file"),
        ({"frames": [], "file": Path("x.mp4")}, "either frames or a file"),
        ({"file": Path("x.mp4"), "audio": Audio(samples=np.zeros((1, 1), np.float32), sample_rate=1)}, "in the file"),
    ],
)
def test_a_clip_is_frames_or_a_file(values: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Clip(**values)

"""An engine's file that cannot be used is refused in one sentence, and none is left behind."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clips import encode_clip, greys, refer_to
from tests.engine_files import FFMPEG, FORMAT, make
from videoapi import Cancelled, Clip, ModelError
from videoapi.encoding import adopt, engine_file, verify
from videoapi.engine.model_process import run_job
from videoapi.exceptions import EncodingError


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
        self.dropped: set[int] = set()
        if is_cancelled:
            self.cancelled.set()

    def send(self, **message: Any) -> None:
        self.messages.append(message)


def job(folder: Path) -> dict[str, Any]:
    size = {"width": 64, "height": 48, "num_frames": 9, "fps": 8}
    words = {"prompt": "", "negative_prompt": "", "num_inference_steps": 1, "guidance_scale": 1.0, "seed": 0}
    part = {
        "request": {**size, **words},
        "video": size,
        "start_image": None,
        "end_image": None,
        "clip": None,
        "output": str(folder / "video.mp4"),
        "metadata": None,
    }
    return {"generations": [part], "max_pixels": 1_000_000, "ffmpeg": ""}


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
        timings, is_file = run_job(Engine(file), job(scratch), channel)
        assert timings["encoding"] > 0
        assert is_file
        verify(scratch / "video.mp4", FORMAT)
    else:
        with pytest.raises(error):
            run_job(Engine(file), job(scratch), channel)
    assert {"kind": "phase", "phase": "encoding"} in channel.messages
    assert list(file.parent.iterdir()) == []
    assert {path.name for path in scratch.iterdir()} <= {"video.mp4", "video.jpg"}


@pytest.mark.parametrize("expects_file", [True, False])
def test_frames_and_files_are_both_taken_whatever_the_last_one_was(tmp_path: Path, expects_file: bool) -> None:
    channel: Any = FakeChannel()
    file = tmp_path / "made.mp4"
    file.write_bytes(GOOD)
    assert run_job(Engine(file), job(tmp_path), channel, expects_file=expects_file)[1]
    (tmp_path / "video.mp4").unlink()

    class Painter:
        def generate(self, request: Any, progress: Any) -> Clip:
            return Clip(frames=iter(greys(request.num_frames)))

    assert not run_job(Painter(), job(tmp_path), channel, expects_file=expects_file)[1]
    verify(tmp_path / "video.mp4", FORMAT)


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


class Batch:
    """A pipeline that hands out several clips at once."""

    def __init__(self, *clips: Clip) -> None:
        self.clips = clips

    def generate(self, request: Any, progress: Any) -> Clip:
        raise AssertionError("they are made together")

    def generate_batch(self, requests: Any, progress: Any) -> tuple[Clip, ...]:
        return self.clips


def job_of_two(folder: Path) -> dict[str, Any]:
    parts = []
    for name in ("first", "second"):
        (folder / name).mkdir()
        parts += job(folder / name)["generations"]
    return {**job(folder), "generations": parts}


def write_two(folder: Path, *contents: bytes) -> list[Path]:
    files = [folder / f"{index}.mp4" for index in range(2)]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return files


@pytest.mark.parametrize("expects_file", [True, False])
def test_the_files_of_a_batch_are_all_taken_or_all_gone(tmp_path: Path, expects_file: bool) -> None:
    channel: Any = FakeChannel()
    asked, files = job_of_two(tmp_path), write_two(tmp_path, GOOD, GOOD)
    assert run_job(Batch(*(Clip(file=file) for file in files)), asked, channel, expects_file=expects_file)[1]
    for part in asked["generations"]:
        verify(Path(part["output"]), FORMAT)
    files = write_two(tmp_path, GOOD[:-50], GOOD)
    with pytest.raises(ModelError):
        run_job(Batch(*(Clip(file=file) for file in files)), asked, channel)
    assert not any(file.exists() for file in files)


def test_what_nobody_wants_any_more_is_not_encoded_and_its_failure_does_not_count(tmp_path: Path) -> None:
    channel: Any = FakeChannel()
    asked = job_of_two(tmp_path)

    def paint_and_drop() -> Any:
        """While it is being encoded, its generation is cancelled and its folder cleared up."""
        yield from greys(8)
        channel.dropped.add(0)
        # At once: ffmpeg may be about to put its file there.
        (tmp_path / "first").rename(tmp_path / "gone")
        yield greys(1)[0]

    run_job(Batch(Clip(frames=paint_and_drop()), Clip(frames=iter(greys(9)))), asked, channel)
    verify(tmp_path / "second" / "video.mp4", FORMAT)
    (tmp_path / "first").mkdir()
    (file, _), read = write_two(tmp_path, GOOD, b""), list[int]()
    clips = Clip(file=file), Clip(frames=(read.append(1) or frame for frame in greys(9)))  # type: ignore[func-returns-value]
    channel.dropped.add(1)
    assert run_job(Batch(*clips), asked, channel)[0]
    assert (read, list((tmp_path / "first").iterdir())) == ([], [])
    assert not file.exists()

"""`POST /video` with a clip, on a real server with a model that gives the clip's frames back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest

from tests.clips import corners, encode_clip, greys, index_first, index_of, spots, turned
from tests.hosts import serve
from tests.images import base64_of, data_uri, plain
from tests.server import Server
from tests.videos import read

GOOD = {"model": "faulty-clip", "prompt": "anything", "fps": 8, "num_frames": 8}
CLIP = encode_clip(greys(8))
RED = (255, 0, 0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, faulty_plugins: Any) -> Iterator[Server]:
    """It fetches from loopback, and takes no clip over a megabyte."""
    settings = {"VIDEOAPI_FETCH_PRIVATE": "1", "VIDEOAPI_MAX_CLIP_BYTES": str(2**20)}
    with Server(tmp_path_factory.mktemp("clips"), faulty_plugins, VIDEOAPI_PRELOAD="faulty-clip", **settings) as server:
        yield server


@pytest.fixture(scope="module")
def clip_host() -> Iterator[str]:
    """Serves a clip that is a picture by its name and its type."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(CLIP)))
            self.end_headers()
            self.wfile.write(CLIP)

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    with serve(Handler) as address:
        yield address


def make(server: Server, reference: bytes | str, **fields: Any) -> tuple[Any, Any]:
    """The answer and the frames of the video."""
    value = reference if isinstance(reference, str) else base64_of(reference)
    answer = server.post({**GOOD, "input_reference": value, **fields})
    assert answer.status == 200, answer.body
    server.wait_until(
        lambda: not [name for name in server.files() if name.startswith(("inputs", "scratch"))], "nothing to be left"
    )
    return answer.json, read(server.get(answer.json["data"][0]["url"]).body).frames


def indices(frames: Any) -> list[int]:
    return [index_of(frame) for frame in frames]


def test_a_clip_comes_as_base64_as_a_data_uri_and_by_a_url(server: Server, clip_host: str) -> None:
    for value in (base64_of(CLIP), data_uri(CLIP, "video/mp4"), data_uri(CLIP), f"{clip_host}/clip.png"):
        body, frames = make(server, value)
        assert indices(frames) == list(range(8))
        assert body["warnings"] == []


@pytest.mark.parametrize(("kind", "codec"), [("mov", "libx264"), ("webm", "libvpx-vp9"), ("mkv", "libx264")])
def test_other_containers_are_told_by_their_bytes(server: Server, kind: str, codec: str) -> None:
    _, frames = make(server, encode_clip(greys(8), kind=kind, codec=codec))
    assert indices(frames) == list(range(8))


def test_the_clip_plays_at_its_own_speed_whatever_the_rates(server: Server) -> None:
    _, frames = make(server, CLIP, fps=16, num_frames=16)
    assert indices(frames) == [index // 2 for index in range(16)]
    _, frames = make(server, encode_clip(greys(30), 30), fps=8, num_frames=8)
    assert indices(frames) == [0, 4, 7, 11, 15, 19, 22, 26]


def test_a_clip_that_is_shorter_or_longer_than_the_video_is_a_warning(server: Server) -> None:
    body, frames = make(server, encode_clip(greys(4)), seed=0)
    assert body["warnings"] == ["input_reference is shorter than the video: it has 4 of its 8 frames."]
    assert indices(frames[:4]) == [0, 1, 2, 3]
    # The model's own.
    assert abs(float(frames[4].mean()) - 180) < 4
    body, frames = make(server, encode_clip(greys(16)))
    assert body["warnings"] == ["input_reference is longer than the video: only its first 1 seconds are used."]
    assert indices(frames) == list(range(8))


def test_the_frames_stay_in_step_when_the_model_makes_more_of_them(server: Server) -> None:
    body, frames = make(server, encode_clip(greys(7)), num_frames=7)
    assert indices(frames) == list(range(7))
    assert body["warnings"] == []


def test_a_wide_clip_is_cut_at_the_middle_for_a_square_video(server: Server) -> None:
    wide = np.concatenate([np.zeros((48, 24, 3), np.uint8), spots(48, 48), np.zeros((48, 24, 3), np.uint8)], axis=1)
    body, frames = make(server, encode_clip([wide] * 8), size="64x64")
    assert body["warnings"] == ["input_reference of 96x48 was cut at the middle to fit 64x64."]
    assert {corners(frame) for frame in frames} == {"rgbw"}


def test_a_clip_that_was_taken_upright_is_upright(server: Server) -> None:
    body, frames = make(server, turned(encode_clip([spots()] * 8), (0, 1, -1, 0)), size="48x64")
    assert body["warnings"] == []
    assert {corners(frame) for frame in frames} == {"brwg"}


def test_a_start_image_goes_with_a_clip(server: Server) -> None:
    body, frames = make(server, CLIP, start_image=base64_of(plain("red")))
    assert np.abs(frames[0].astype(int) - RED).max() < 12
    assert indices(frames[1:]) == list(range(1, 8))
    assert body["warnings"] == []


def test_an_image_by_input_reference_is_the_start_image_still(server: Server) -> None:
    _, frames = make(server, plain("red"))
    assert np.abs(frames[0].astype(int) - RED).max() < 12


def test_text_alone_is_as_before(server: Server) -> None:
    assert server.post(GOOD).status == 200


def test_the_video_says_what_it_was_made_of(server: Server) -> None:
    body, _ = make(server, CLIP, start_image=base64_of(plain("red")))
    request = json.loads(read(server.get(body["data"][0]["url"]).body).metadata["comment"])["request"]
    assert {"start_image", "input_reference"} <= request.keys()


REFERENCE = base64_of(CLIP)
IMAGE = base64_of(plain("red"))
ALONE = {"model": "faulty-clip-alone"}
PLAIN = {"model": "faulty-good"}
DAMAGED = index_first(encode_clip(greys(8), codec="mjpeg", pixels="yuvj420p"))
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "a model without clips",
        {**PLAIN, "input_reference": REFERENCE},
        "input_reference",
        "This is a video; model 'faulty-good' takes no clip. It takes: first_and_last_frame, first_frame, text.",
    ),
    ("a clip as an image", {**PLAIN, "start_image": REFERENCE}, "start_image", "This is a video, not an image."),
    (
        "a clip in the wrong field",
        {"start_image": REFERENCE},
        "start_image",
        "This is a video, not an image. A clip goes into 'input_reference'.",
    ),
    ("no clip", ALONE, "input_reference", "Model 'faulty-clip-alone' needs a clip in input_reference."),
    (
        "an image alone",
        {**ALONE, "input_reference": IMAGE},
        "input_reference",
        "This is an image; model 'faulty-clip-alone' cannot use it. It takes: clip.",
    ),
    ("a start image alone", {**ALONE, "start_image": IMAGE}, "start_image", "cannot use it. It takes: clip."),
    (
        "a start image beside it",
        {**ALONE, "input_reference": REFERENCE, "start_image": "not looked at"},
        "start_image",
        "cannot use it. It takes: clip.",
    ),
    ("an end image", {"input_reference": REFERENCE, "end_image": IMAGE}, "end_image", "cannot use it."),
    (
        "all three",
        {"input_reference": "not looked at", "start_image": IMAGE, "end_image": IMAGE},
        "end_image",
        "A clip in input_reference takes no end image.",
    ),
    ("two images", {"input_reference": IMAGE, "start_image": IMAGE}, "input_reference", "send one of them"),
    (
        "neither",
        {"input_reference": base64_of(b"RIFF\0\0\0\0AVI LIST")},
        "input_reference",
        "Neither a whole PNG, JPEG or WEBP image nor an mp4, mov, webm or mkv clip.",
    ),
    (
        "a playlist",
        {"input_reference": base64_of(b"#EXTM3U\nfile:///etc/passwd\n")},
        "input_reference",
        "Neither a whole",
    ),
    ("cut", {"input_reference": base64_of(CLIP[:-20])}, "input_reference", "The clip is cut short."),
    (
        "sound",
        {"input_reference": base64_of(encode_clip((), sound=1))},
        "input_reference",
        "The clip has no video.",
    ),
    (
        "large",
        {"input_reference": base64_of(CLIP + bytes(2**20))},
        "input_reference",
        "The clip is larger than 1048576 bytes.",
    ),
]


@pytest.mark.parametrize(
    ("fields", "param", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_clip_that_does_not_fit_is_a_400_that_says_why_and_leaves_nothing(
    server: Server, fields: dict[str, Any], param: str, words: str
) -> None:
    before = server.files()
    answer = server.post({**GOOD, **fields})
    assert (answer.status, answer.error["param"]) == (400, param)
    assert words in answer.error["message"]
    assert server.files() == before


def test_a_clip_whose_later_frames_are_damaged_fails_and_leaves_nothing(server: Server) -> None:
    before = server.files()
    starts = [at for at in range(len(DAMAGED)) if DAMAGED.startswith(b"\xff\xd8", at)]
    damaged = DAMAGED[: starts[4]] + b"\xff" * (starts[5] - starts[4]) + DAMAGED[starts[5] :]
    answer = server.post({**GOOD, "input_reference": base64_of(damaged)})
    assert (answer.status, answer.error["param"]) == (400, "input_reference")
    assert answer.error["message"] == "The clip is damaged."
    assert server.files() == before


def test_a_cancelled_generation_leaves_no_clip(server: Server) -> None:
    before = server.files()
    busy = server.post({**GOOD, "model": "faulty-slow", "step": 20}, Prefer="respond-async").json
    queued = server.post({**GOOD, "input_reference": REFERENCE}, Prefer="respond-async").json
    assert f"inputs/{queued['id']}-clip" in server.files()
    for body in (queued, busy):
        server.delete(f"/video/{body['id']}")
        server.wait_for(f"/video/{body['id']}", "cancelled")
    server.wait_until(lambda: server.files() == before, "the clip to be gone")

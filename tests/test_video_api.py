"""`POST /video` on a real server: what it answers, and what it refuses."""

from __future__ import annotations

import base64
import json
import urllib.request
import uuid
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.images import base64_of, data_uri, encode, plain
from tests.server import Server, send
from tests.videos import read

GOOD = {"model": "faulty-good", "prompt": "anything"}


def test_the_answer_is_localais_with_what_the_server_decided(faulty_server: Server) -> None:
    answer = faulty_server.post({**GOOD, "width": 96, "height": 80, "num_frames": 7, "fps": 6, "seed": 5})
    body = answer.json
    assert answer.status == 200
    assert uuid.UUID(body["id"])
    assert body["data"] == [{"url": f"/generated-videos/{body['id']}.mp4"}]
    assert isinstance(body["created"], int)
    decided = {name: body[name] for name in ("model", "seed", "width", "height", "num_frames", "fps", "seconds")}
    assert decided == {
        "model": "faulty-good",
        "seed": 5,
        "width": 96,
        "height": 80,
        "num_frames": 7,
        "fps": 6,
        "seconds": 7 / 6,
    }
    assert body["warnings"] == []
    assert body["timings"]["total"] >= body["timings"]["denoising"] >= 0


def test_the_file_is_exactly_what_was_asked_for(faulty_server: Server) -> None:
    body = faulty_server.post({**GOOD, "width": 96, "height": 80, "num_frames": 7, "fps": 6, "seed": 5}).json
    video = read(faulty_server.get(body["data"][0]["url"]).body)
    assert (video.codec, video.pixel_format) == ("h264", "yuv420p")
    assert (video.width, video.height, video.rate, len(video.frames)) == (96, 80, 6, 7)
    facts = json.loads(video.metadata["comment"])["request"]
    assert (facts["prompt"], facts["seed"], facts["model"]) == ("anything", 5, "faulty-good")


def test_without_a_seed_one_is_drawn_and_sending_it_back_gives_the_same_video(faulty_server: Server) -> None:
    first, second = (faulty_server.post(GOOD).json for _ in range(2))
    assert first["seed"] != second["seed"]
    again = faulty_server.post({**GOOD, "seed": first["seed"]}).json
    frames = [read(faulty_server.get(body["data"][0]["url"]).body).frames for body in (first, again)]
    assert np.array_equal(*frames)


def test_seed_zero_is_a_seed(faulty_server: Server) -> None:
    assert faulty_server.post({**GOOD, "seed": 0}).json["seed"] == 0


def test_b64_json_holds_the_file(faulty_server: Server) -> None:
    body = faulty_server.post({**GOOD, "response_format": "b64_json"}).json
    data = base64.b64decode(body["data"][0]["b64_json"])
    assert list(body["data"][0]) == ["b64_json"]
    assert data == faulty_server.get(f"/generated-videos/{body['id']}.mp4").body


def test_null_is_the_same_as_leaving_a_field_out(faulty_server: Server) -> None:
    answer = faulty_server.post({**GOOD, "negative_prompt": None, "start_image": None, "num_frames": None})
    assert (answer.status, answer.json["num_frames"]) == (200, 5)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (64, 48, 5, 5)),
        ({"size": "96x64"}, (96, 64, 5, 5)),
        ({"size": "96x64", "width": 96}, (96, 64, 5, 5)),
        ({"width": 96}, (96, 48, 5, 5)),
        ({"seconds": "2"}, (64, 48, 10, 5)),
        ({"seconds": "0.5", "fps": 12}, (64, 48, 6, 12)),
        ({"seconds": "0.5"}, (64, 48, 3, 5)),
        ({"seconds": 2, "num_frames": 8}, (64, 48, 8, 4)),
        ({"seconds": "1.5", "num_frames": 12, "fps": 8}, (64, 48, 12, 8)),
        ({"num_frames": 1}, (64, 48, 1, 5)),
    ],
)
def test_size_and_length_fields(faulty_server: Server, fields: dict[str, Any], expected: tuple[int, ...]) -> None:
    body = faulty_server.post({**GOOD, **fields}).json
    assert (body["width"], body["height"], body["num_frames"], body["fps"]) == expected
    video = read(faulty_server.get(body["data"][0]["url"]).body)
    assert (video.width, video.height, len(video.frames), video.rate) == expected


@pytest.mark.parametrize("field", ["start_image", "input_reference"])
@pytest.mark.parametrize("wrap", [base64_of, data_uri])
def test_an_image_reaches_the_model_at_the_videos_size(faulty_server: Server, field: str, wrap: Any) -> None:
    body = faulty_server.post({**GOOD, field: wrap(plain("red", 640, 480))}).json
    frames = read(faulty_server.get(body["data"][0]["url"]).body).frames
    assert np.abs(frames[0].astype(int) - (255, 0, 0)).max() < 12
    assert body["warnings"] == []


def test_an_image_of_several_megabytes_is_accepted(faulty_server: Server) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    image = encode(Image.fromarray(noise))
    assert len(image) > 3_000_000
    assert faulty_server.post({**GOOD, "start_image": base64_of(image)}).status == 200


def test_first_and_last_image_are_the_first_and_the_last_frame_also_off_the_grid(faulty_server: Server) -> None:
    images = {"start_image": base64_of(plain("red")), "end_image": base64_of(plain("blue"))}
    body = faulty_server.post({**GOOD, **images, "num_frames": 7}).json
    frames = read(faulty_server.get(body["data"][0]["url"]).body).frames
    assert len(frames) == 7
    assert np.abs(frames[0].astype(int) - (255, 0, 0)).max() < 12
    assert np.abs(frames[-1].astype(int) - (0, 0, 255)).max() < 12


def test_an_image_of_another_shape_is_cut_not_stretched_and_the_answer_says_so(faulty_server: Server) -> None:
    body = faulty_server.post({**GOOD, "start_image": base64_of(plain("red", 200, 50))}).json
    assert body["warnings"] == ["start_image of 200x50 was cut at the middle to fit 64x48."]


def test_seconds_that_no_number_of_frames_lasts_are_rounded_and_the_answer_says_so(faulty_server: Server) -> None:
    assert faulty_server.post({**GOOD, "seconds": "0.5"}).json["warnings"] == ["seconds is 0.6: 3 frames at 5 fps."]
    assert faulty_server.post({**GOOD, "seconds": "0.4"}).json["warnings"] == []


def test_a_negative_prompt_without_guidance_is_a_warning(faulty_server: Server) -> None:
    body = faulty_server.post({**GOOD, "negative_prompt": "blurry", "cfg_scale": 1}).json
    assert body["warnings"] == ["negative_prompt has no effect with cfg_scale 1; it needs more than 1."]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"model": None}, "model", "required"),
    ({"model": "no-such"}, "model", "Unknown model 'no-such'"),
    ({"model": "faulty-god"}, "model", "Did you mean 'faulty-good'?"),
    ({"model": "../../etc/passwd"}, "model", "Unknown model"),
    ({"model": 7}, "model", "Must be a string."),
    ({"prompt": None}, "prompt", "required"),
    ({"prompt": "  "}, "prompt", "Must not be blank."),
    ({"prompt": "x" * 5000}, "prompt", "at most 4000"),
    ({"prompt": "a\x00b"}, "prompt", "control character"),
    ({"prompt": 12}, "prompt", "Must be a string."),
    ({"num_frame": 16}, "num_frame", "Did you mean 'num_frames'?"),
    ({"width": -16}, "width", "greater than or equal to 1"),
    ({"width": 72}, "width", "the nearest sizes to 72x48 are 64x48 and 80x48."),
    ({"width": 1_000_000}, "width", "over the 2048 pixels"),
    ({"width": "64"}, "width", "Must be an integer."),
    ({"width": 64.5}, "width", "Must be an integer."),
    ({"width": True}, "width", "Must be an integer."),
    ({"size": "832"}, "size", "is not WIDTHxHEIGHT"),
    ({"size": "0x480"}, "size", "is not WIDTHxHEIGHT"),
    ({"size": "832×480"}, "size", "is not WIDTHxHEIGHT"),
    ({"size": "96x64", "width": 64}, "size", "contradicts width 64"),
    ({"size": "90x64"}, "size", "are 80x64 and 96x64"),
    ({"num_frames": -1}, "num_frames", "greater than or equal to 1"),
    ({"num_frames": 24.5}, "num_frames", "Must be an integer."),
    ({"num_frames": 1001}, "num_frames", "over the 1000"),
    ({"fps": -1}, "fps", "greater than or equal to 1"),
    ({"fps": 1000}, "fps", "over the 120"),
    ({"seconds": "0"}, "seconds", "positive decimal number"),
    ({"seconds": "-1"}, "seconds", "positive decimal number"),
    ({"seconds": "two"}, "seconds", "positive decimal number"),
    ({"seconds": "0.05"}, "seconds", "less than one frame"),
    ({"seconds": "900"}, "seconds", "over the 1000"),
    ({"seconds": "1", "num_frames": 500}, "seconds", "over the 120 frames per second"),
    ({"step": 10**400}, "step", "Is too large."),
    ({"seconds": "9", "num_frames": 5, "fps": 10**4200}, "fps", "Is too large."),
    ({"seconds": "2", "num_frames": 5}, "seconds", "no whole number of frames per second"),
    ({"seconds": "2", "num_frames": 5, "fps": 5}, "seconds", "are 10 frames, not 5"),
    ({"seed": -1}, "seed", "greater than or equal to 0"),
    ({"seed": 2**64}, "seed", "Is too large."),
    ({"seed": 1.5}, "seed", "Must be an integer."),
    ({"cfg_scale": "7"}, "cfg_scale", "Must be a number."),
    ({"cfg_scale": True}, "cfg_scale", "Must be a number."),
    ({"cfg_scale": 1e6}, "cfg_scale", "over the limit of 50"),
    ({"step": -1}, "step", "greater than or equal to 1"),
    ({"step": 10_000_000}, "step", "10000000 is over the limit of 200"),
    ({"priority": 1}, "priority", "1 is over the limit of 0."),
    ({"priority": -101}, "priority", "greater than or equal to -100"),
    ({"response_format": "xml"}, "response_format", "Must be one of: url, b64_json."),
    ({"start_image": "not base64!"}, "start_image", "Neither"),
    ({"start_image": " "}, "start_image", "Must not be blank."),
    ({"start_image": base64_of(b"no image")}, "start_image", "Not a whole PNG, JPEG or WEBP image."),
    ({"start_image": base64_of(plain("red")[:-30])}, "start_image", "Not a whole"),
    ({"start_image": base64_of(plain("red", kind="GIF"))}, "start_image", "Not a whole"),
    ({"start_image": "data:image/png,rawtext"}, "start_image", "must be base64"),
    ({"start_image": "file:///etc/passwd"}, "start_image", "not a plain http or https"),
    ({"start_image": "http://127.0.0.1:1/x.png"}, "start_image", "does not fetch from"),
    ({"end_image": base64_of(plain("red"))}, "end_image", "needs a start image"),
    (
        {"input_reference": base64_of(plain("red")), "start_image": base64_of(plain("red"))},
        "input_reference",
        "send one of them",
    ),
]


@pytest.mark.parametrize(("fields", "param", "words"), REFUSED, ids=[str(fields)[:50] for fields, _, _ in REFUSED])
def test_an_invalid_field_is_a_400_that_names_it_and_leaves_nothing(
    faulty_server: Server, fields: dict[str, Any], param: str, words: str
) -> None:
    before = faulty_server.files()
    body = {key: value for key, value in {**GOOD, **fields}.items() if value is not None}
    answer = faulty_server.post(body)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert words in answer.error["message"]
    assert answer.error["type"] == "invalid_request_error"
    assert faulty_server.files() == before


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not valid JSON"),
        (b"", 400, "required"),
        (b"[]", 400, "Expected a dictionary"),
        (b'"x"', 400, "Expected a dictionary"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'{"num_frames": NaN}', 400, "NaN is not a JSON number"),
        (b'{"seed": 1, "seed": 2}', 400, "the key 'seed' stands twice"),
        (b'{"prompt": "\xff"}', 400, "not valid JSON"),
        (json.dumps(GOOD).encode("utf-16"), 400, "not valid JSON"),
        (b'{"cfg_scale": 1e999, "model": "faulty-good", "prompt": "x"}', 400, "Must be a number."),
        (b'{"model": "faulty-good", "prompt": "x", "\\ud800": 1}', 400, "Unknown field."),
        (b'{"model": "\\ud800", "prompt": "x"}', 400, "Holds half of a character."),
        (b" " * (33 * 2**20), 413, "larger than"),
    ],
    ids=[
        "cut",
        "empty",
        "list",
        "string",
        "deep",
        "nan",
        "twice",
        "bytes",
        "utf-16",
        "infinite",
        "surrogate",
        "surrogate value",
        "large",
    ],
)
def test_a_malformed_body_is_a_json_error(faulty_server: Server, body: bytes, status: int, words: str) -> None:
    answer = faulty_server.post(body)
    assert answer.status == status
    assert words in answer.error["message"]


def test_every_other_error_is_json_too(faulty_server: Server) -> None:
    put = send(urllib.request.Request(f"{faulty_server.url}/video", data=b"{}", method="PUT"))
    assert (put.status, put.error["code"]) == (405, "method_not_allowed")
    assert faulty_server.get("/nothing").error["code"] == "not_found"
    text = faulty_server.post(b"hello", content_type="text/plain")
    assert (text.status, text.error["code"]) == (415, "unsupported_media_type")
    host = faulty_server.get("/healthz", Host="evil.example")
    assert (host.status, host.error["code"]) == (400, "host_not_allowed")


@pytest.mark.parametrize(
    "name",
    [
        "x.mp4",
        "00000000-0000-4000-8000-000000000000.mp4",
        "..%2f..%2fsettings%2fbase.py",
        "%00.mp4",
        "..%5c..%5cdb.mp4",
    ],
)
def test_only_a_finished_generations_file_is_served(faulty_server: Server, name: str) -> None:
    assert faulty_server.get(f"/generated-videos/{name}").status == 404


def test_health_and_readiness(faulty_server: Server) -> None:
    assert faulty_server.get("/healthz").json == {"status": "ok"}
    ready = faulty_server.get("/readyz").json
    assert (ready["status"], ready["reasons"], ready["workers"]) == ("ok", [], 1)


def test_a_public_url_is_put_before_the_path(tmp_path: Any, faulty_plugins: Any) -> None:
    with Server(
        tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="faulty-good", VIDEOAPI_PUBLIC_URL="https://films.example/"
    ) as server:
        body = server.post(GOOD).json
        assert body["data"][0]["url"] == f"https://films.example/generated-videos/{body['id']}.mp4"

"""LocalAI's clients, pointed here: its web page, the page before that one, and programs in Go with its own types."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from typing import Any

import pytest

from tests.images import base64_of, plain
from tests.server import Answer, Server, send
from tests.videos import read
from videoapi.exceptions import InvalidRequest
from videoapi.resolution import check_supported
from videoapi.types import ModelSpec

GOOD = {"model": "faulty-good", "prompt": "anything"}
# What encoding/json makes of LocalAI's VideoRequest with a model and a prompt: what has no `omitempty` is there.
GO = {
    **GOOD,
    "negative_prompt": "",
    "start_image": "",
    "end_image": "",
    "width": 0,
    "height": 0,
    "num_frames": 0,
    "fps": 0,
    "seed": 0,
    "cfg_scale": 0,
    "step": 0,
    "response_format": "",
}


def fill_menu(server: Server, capability: str) -> list[str]:
    """As LocalAI's web page does: the models of the list that have the capability."""
    listed = server.get("/api/models/capabilities").json["data"]
    return [model["id"] for model in listed if capability in model["capabilities"]]


def test_the_web_page_fills_its_menu_and_gets_a_video(faulty_server: Server) -> None:
    menu = fill_menu(faulty_server, "FLAG_VIDEO")
    assert {"faulty-good", "starter", "video-model"} <= set(menu)
    assert fill_menu(faulty_server, "FLAG_CHAT") == []
    page = {"model": "faulty-good", "prompt": "a cat", "width": 512, "height": 512, "fps": 16, "seconds": "0.5"}
    advanced = {
        "negative_prompt": "blurry",
        "step": 2,
        "seed": 7,
        "cfg_scale": 3.5,
        "start_image": base64_of(plain("red")),
    }
    for body, frames in ((page, 8), ({**page, **advanced}, 8)):
        answer = faulty_server.post(body)
        assert answer.status == 200, answer.body
        video = read(faulty_server.get(answer.json["data"][0]["url"]).body)
        assert (video.width, video.height, len(video.frames), video.rate) == (512, 512, frames, 16)


def test_what_goes_tells_capabilities_and_modalities(faulty_server: Server) -> None:
    answer = faulty_server.get("/v1/models/capabilities").json
    models = {model["id"]: model for model in answer["data"]}
    assert answer["object"] == "list"
    assert models["faulty-clip"] == {
        "id": "faulty-clip",
        "object": "model",
        "capabilities": ["video"],
        "input_modalities": ["text", "image", "video"],
        "output_modalities": ["video"],
        "backend": "faulty",
    }
    assert models["faulty-clip-alone"]["input_modalities"] == ["text", "video"]
    assert models["video-model"]["input_modalities"] == ["text", "image"]


@pytest.mark.parametrize(
    "path", ["/models", "/models/", "/v1/models/", "/v1/models/capabilities/", "/api/models/capabilities"]
)
def test_the_lists_are_where_localai_has_them(faulty_server: Server, path: str) -> None:
    expected = faulty_server.get("/v1/models/capabilities" if "capabilities" in path else "/v1/models").json
    assert [model["id"] for model in faulty_server.get(path).json["data"]] == [
        model["id"] for model in expected["data"]
    ]


def test_a_slash_at_the_end_changes_nothing(faulty_server: Server) -> None:
    body = faulty_server.post(GOOD, path="/video/").json
    assert body["data"][0]["url"].endswith(".mp4")
    assert faulty_server.get(f"/video/{body['id']}/").json["id"] == body["id"]
    assert faulty_server.get("/video/?limit=1").json["data"][0]["id"] == body["id"]
    assert faulty_server.get("/healthz/").json == {"status": "ok"}
    assert faulty_server.get("/v1/models/starter/").json["id"] == "starter"
    for path in ("/video//", "/nothing/"):
        assert faulty_server.get(path).error["code"] == "not_found"
    admin = send(urllib.request.Request(f"{faulty_server.url}/admin/login/"))
    assert admin.status == 200


def test_the_zeros_of_a_program_in_go_are_the_models_own_values_and_the_answer_says_so(faulty_server: Server) -> None:
    answer = faulty_server.post(GO)
    assert answer.status == 200, answer.body
    body = answer.json
    assert (body["width"], body["height"], body["num_frames"], body["fps"]) == (64, 48, 5, 5)
    zeros = "start_image, end_image, response_format, width, height, num_frames, fps, step"
    assert body["warnings"] == [
        f"Zero or empty, and so taken as left out: {zeros}. Not so seed and cfg_scale, of which 0 is a value."
    ]
    assert list(body["data"][0]) == ["url"]
    request = faulty_server.get(f"/video/{body['id']}").json["request"]
    # These are values: 0 is a seed, and no guidance.
    assert (request["seed"], request["cfg_scale"], request["step"]) == (0, 0.0, 4)


def test_0_with_a_point_is_0_too(faulty_server: Server) -> None:
    assert faulty_server.post({**GOOD, "width": 0.0}).json["warnings"] == [
        "Zero or empty, and so taken as left out: width."
    ]


def test_an_empty_negative_prompt_is_nothing_that_a_model_could_not_take() -> None:
    spec = ModelSpec(name="svd", unsupported=frozenset({"negative_prompt"}))
    check_supported({"negative_prompt": ""}, spec)
    check_supported({"negative_prompt": "blurry"}, replace(spec, unsupported=frozenset()))
    with pytest.raises(InvalidRequest, match="Model 'svd' does not take 'negative_prompt'"):
        check_supported({"negative_prompt": "blurry"}, spec)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", False),
        ("width", ""),
        ("start_image", 0),
        ("prompt", ""),
        ("seconds", ""),
    ],
)
def test_other_zeros_are_refused_still(faulty_server: Server, field: str, value: Any) -> None:
    answer = faulty_server.post({**GOOD, field: value})
    assert (answer.status, answer.error["param"]) == (400, field)


def test_the_address_may_name_the_model(faulty_server: Server) -> None:
    for body in ({"prompt": "x"}, {"prompt": "x", "model": ""}, {"prompt": "x", "model": None}):
        assert faulty_server.post(body, path="/video?model=faulty-good").json["model"] == "faulty-good"
    assert faulty_server.post(GOOD, path="/video?model=faulty-good").status == 200


@pytest.mark.parametrize(
    ("path", "model", "words"),
    [
        ("/video?model=no-such", None, "Unknown model 'no-such'"),
        ("/video?model=", None, "may not be blank"),
        ("/video?model=faulty-clip", "faulty-good", "The address names another model: 'faulty-clip'."),
        ("/video?model=faulty-good", 0, "The address names another model"),
        ("/video", None, "required"),
    ],
)
def test_a_wrong_model_in_the_address_is_refused(faulty_server: Server, path: str, model: Any, words: str) -> None:
    body = {"prompt": "x"} if model is None else {"prompt": "x", "model": model}
    answer = faulty_server.post(body, path=path)
    assert (answer.status, answer.error["param"]) == (400, "model")
    assert words in answer.error["message"]


def test_one_idempotency_key_with_two_models_in_the_address_is_a_conflict(faulty_server: Server) -> None:
    first, second = (
        faulty_server.post({"prompt": "x"}, path=f"/video?model={name}", Idempotency_Key="two models")
        for name in ("faulty-good", "faulty-clip")
    )
    assert (first.status, second.status) == (200, 409)


def test_options_are_texts_as_localai_has_them(faulty_server: Server) -> None:
    body = faulty_server.post({**GOOD, "params": {"brightness": "12", "dark": "true", "scheduler": "heun"}}).json
    request = faulty_server.get(f"/video/{body['id']}").json["request"]
    assert request["params"] == {"brightness": 12, "dark": True, "scheduler": "heun"}
    for name, value in (("brightness", "twelve"), ("dark", "yes"), ("scheduler", '"heun"')):
        answer = faulty_server.post({**GOOD, "params": {name: value}})
        assert (answer.status, answer.error["param"]) == (400, f"params.{name}"), value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio": base64_of(b"RIFF")}, "audio"),
        ({"seed": -1}, "seed"),
        ({"seconds": "5", "num_frames": 16, "fps": 16}, "seconds"),
        ({"width": 500}, "width"),
        ({"response_format": "b64"}, "response_format"),
    ],
)
def test_what_localai_would_drop_or_change_is_refused_by_name(
    faulty_server: Server, fields: dict[str, Any], param: str
) -> None:
    answer = faulty_server.post({**GOOD, **fields})
    assert (answer.status, answer.error["param"]) == (400, param)


def test_without_a_content_type_the_error_says_what_is_missing(faulty_server: Server) -> None:
    data = json.dumps(GOOD).encode()
    request = urllib.request.Request(f"{faulty_server.url}/video", data=data)
    answer: Answer = send(request)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    assert "application/x-www-form-urlencoded" in answer.error["message"]

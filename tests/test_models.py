"""What the server says of its models, and that it is true: a request made of it alone, and one just outside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_args

import openai
import pytest
import torch
import yaml
from jsonschema import Draft202012Validator

from plugins.diffusers.tests.tiny import TINY
from tests.clips import encode_clip, greys
from tests.distributions import write_faulty, write_remote
from tests.images import base64_of, plain
from tests.server import Server
from tests.videos import read
from videoapi.types import Mode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

DIFFUSERS = ("wan_text", "wan_vace", "stable_video")
# Those that do not fail on purpose.
GOOD = ("starter", "remote", "faulty-good", "faulty-clip", "faulty-clip-alone", "faulty-file", "tiny/wan_text")
MODELS = (*GOOD, "wan_vace", "stable_video")
IMAGE, CLIP = base64_of(plain("red")), base64_of(encode_clip(greys(8)))
INPUTS: dict[Mode, dict[str, str]] = {
    "text": {},
    "first_frame": {"start_image": IMAGE},
    "first_and_last_frame": {"start_image": IMAGE, "end_image": IMAGE},
    "clip": {"input_reference": CLIP},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the starter, tiny models of diffusers and the backends of the tests."""
    plugins, folder = tmp_path_factory.mktemp("plugins"), tmp_path_factory.mktemp("server")
    write_faulty(plugins)
    write_remote(plugins)
    models = folder / "models"
    for name in DIFFUSERS:
        torch.manual_seed(0)
        TINY[name].build().save_pretrained(models / f"{name}-weights")
        keys = {"backend": "diffusers", "parameters": {"model": str(models / f"{name}-weights")}}
        listed = {"name": "tiny/wan_text", "aliases": ["tiny"]} if name == "wan_text" else {"name": name}
        (models / f"{name}.yaml").write_text(yaml.safe_dump({**listed, **keys}))
    settings = {"VIDEOAPI_MODELS_DIR": str(models), "VIDEOAPI_PRELOAD": "", "REMOTE_STATE": str(folder / "state")}
    with Server(folder, plugins, **settings) as made:
        yield made


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def describe(server: Server, name: str) -> Any:
    answer = server.get(f"/models/{name}")
    assert answer.status == 200, answer.body
    return answer.json


def build(about: Any, mode: Mode) -> dict[str, Any]:
    """A small request for the mode, by what is known about the model alone."""
    side = math.ceil(64 / about["size_multiple"]) * about["size_multiple"]
    known = {
        "step": min(2, about["limits"]["max_step"]),
        **{name: about["defaults"].get(name) for name in ("cfg_scale", "negative_prompt", "fps")},
    }
    return {
        "model": about["id"],
        "prompt": "a red circle",
        "width": side,
        "height": side,
        "num_frames": about["frame_grid"]["offset"] + about["frame_grid"]["step"],
        "seed": about["limits"]["max_seed"],
        "params": read_defaults(about),
        **{name: value for name, value in known.items() if name in about["defaults"]},
        **INPUTS[mode],
    }


def read_defaults(about: Any) -> dict[str, Any]:
    options = about["params"]["properties"]
    return {name: schema["default"] for name, schema in options.items() if "default" in schema}


def leave(about: Any) -> Iterator[tuple[dict[str, Any], set[str]]]:
    """Fields that are just outside what is said of the model, and those of them that the error may name."""
    limits, multiple = about["limits"], about["size_multiple"]
    side = math.ceil(64 / multiple) * multiple
    most = limits["max_side"] // multiple * multiple
    yield {"width": side + multiple // 2}, {"width"}
    yield {"width": most + multiple, "height": side}, {"width"}
    yield {"width": side, "height": most + multiple}, {"height"}
    if most * most > limits["max_pixels"]:
        yield {"width": most, "height": (limits["max_pixels"] // most // multiple + 1) * multiple}, {"width"}
    for name, limit in (("num_frames", "max_frames"), ("fps", "max_fps"), ("seed", "max_seed")):
        yield {name: limits[limit] + 1}, {name}
    for name in ("step", "cfg_scale"):
        if name in about["defaults"]:
            yield {name: limits[f"max_{name}"] + 1}, {name}
    yield {"priority": limits["max_priority"] + 1}, {"priority"}
    yield {"priority": limits["min_priority"] - 1}, {"priority"}
    for name in {"prompt", "negative_prompt"} - set(about["unsupported"]):
        yield {name: "x" * (limits["max_prompt_length"] + 1)}, {name}
    for name in about["unsupported"]:
        yield {name: {"negative_prompt": "blurry"}.get(name, 1)}, {name}
    for mode in set(get_args(Mode)) - set(about["modes"]):
        fields: dict[str, Any] = dict.fromkeys(("start_image", "end_image", "input_reference"))
        yield {**fields, **INPUTS[mode]}, set(fields)
    if "image" in about["inputs"] and "first_frame" in about["modes"]:
        small = base64_of(plain("red", about["inputs"]["image"]["min_side"] - 1, 64))
        yield {"start_image": small, "end_image": None, "input_reference": None}, {"start_image"}
    yield {"params": {"no_such_option": 1}}, {"params.no_such_option"}
    for name, schema in about["params"]["properties"].items():
        beyond = schema["maximum"] + 1 if "maximum" in schema else "no such choice"
        yield {"params": {name: beyond}}, {f"params.{name}"}


@pytest.mark.parametrize("name", MODELS)
def test_a_request_made_of_the_description_alone_is_a_video_in_every_mode(server: Server, name: str) -> None:
    about = describe(server, name)
    for mode in about["modes"]:
        request = build(about, mode)
        answer = server.post(request)
        assert answer.status == 200, (mode, answer.body, server.log[-3000:])
        video = read(server.get(answer.json["data"][0]["url"]).body)
        assert (video.width, video.height) == (request["width"], request["height"])
        assert (len(video.frames), video.rate) == (request["num_frames"], request["fps"])


@pytest.mark.parametrize("name", MODELS)
def test_a_request_just_outside_the_description_is_refused(server: Server, name: str) -> None:
    about = describe(server, name)
    count = 0
    for fields, named in leave(about):
        mode = next(mode for mode in get_args(Mode) if mode in about["modes"])
        body = {**build(about, mode), **fields}
        answer = server.post({field: value for field, value in body.items() if value is not None})
        assert (answer.status, answer.error["param"] in named) == (400, True), (fields, answer.body)
        count += 1
    assert count >= 12


@pytest.mark.parametrize("name", ["starter", "faulty-good"])
def test_what_is_at_the_limits_is_accepted(server: Server, name: str) -> None:
    about = describe(server, name)
    limits, multiple = about["limits"], about["size_multiple"]
    width = limits["max_side"] // multiple * multiple
    most = {
        **build(about, "text"),
        "prompt": "x" * limits["max_prompt_length"],
        "width": width,
        "height": min(width, limits["max_pixels"] // width // multiple * multiple),
        "num_frames": limits["max_frames"],
        "fps": limits["max_fps"],
        "step": limits["max_step"],
        "cfg_scale": limits["max_cfg_scale"],
        "priority": limits["min_priority"],
    }
    answer = server.post(most, Prefer="respond-async")
    assert answer.status == 202, answer.body
    server.delete(answer.headers["Location"])


@pytest.mark.parametrize("name", MODELS)
def test_the_options_are_a_valid_schema_that_says_what_each_is_for(server: Server, name: str) -> None:
    schema = describe(server, name)["params"]
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(read_defaults({"params": schema}))
    if not name.startswith("faulty"):
        assert all(option["description"] for option in schema["properties"].values())


def test_the_description_of_the_starter(server: Server) -> None:
    about = describe(server, "video-model")
    assert about == describe(server, "starter") == server.get("/v1/models/starter").json
    assert isinstance(about.pop("created"), int)
    assert about.pop("description").startswith("A coloured shape")
    assert about.pop("loaded") in (True, False)
    assert about == {
        "id": "starter",
        "object": "model",
        "owned_by": "videoapi-starter",
        "modes": ["text", "first_frame", "first_and_last_frame"],
        "available": True,
        "workers": 1,
        "backend": {"name": "starter", "distribution": "videoapi-starter", "version": "0.1.0"},
        "aliases": ["video-model"],
        "defaults": {
            "width": 512,
            "height": 512,
            "num_frames": 16,
            "fps": 8,
            "step": 12,
            "cfg_scale": 4.0,
            "negative_prompt": "",
        },
        "size_multiple": 2,
        "audio": False,
        "native_sizes": ["128x128", "160x96", "96x160"],
        "frame_grid": {"step": 4, "offset": 1},
        "limits": {
            "max_side": 1280,
            "max_pixels": 1280 * 1280,
            "max_frames": 241,
            "max_fps": 60,
            "max_step": 100,
            "max_cfg_scale": 50.0,
            "max_prompt_length": 4000,
            "max_seed": 2**63 - 1,
            "min_priority": -100,
            "max_priority": 0,
            "max_runtime": 14400.0,
            "max_body_bytes": 32 * 2**20,
        },
        "inputs": {
            "image": {
                "formats": ["png", "jpeg", "webp"],
                "max_bytes": 20 * 2**20,
                "max_pixels": 40_000_000,
                "min_side": 8,
                "max_frames": 1000,
            },
            "urls": True,
        },
        "unsupported": [],
        "params": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {},
            "additionalProperties": False,
        },
        "interruptible": True,
    }


def test_what_a_model_cannot_take_is_in_no_default(server: Server) -> None:
    about = describe(server, "stable_video")
    assert about["unsupported"] == ["negative_prompt"]
    assert "negative_prompt" not in about["defaults"]
    assert about["native_sizes"] == ["1024x576"]
    assert describe(server, "remote")["inputs"] == {}
    assert describe(server, "faulty-clip-alone")["inputs"]["clip"]["max_bytes"] == 100 * 2**20
    assert "image" not in describe(server, "faulty-clip-alone")["inputs"]


def test_openais_client_lists_and_retrieves(server: Server, client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {"starter", "video-model", "tiny/wan_text", "tiny"} <= models.keys()
    starter = models["video-model"]
    assert (starter.object, starter.owned_by, type(starter.created)) == ("model", "videoapi-starter", int)
    assert starter.model_extra is not None
    assert starter.model_extra["modes"] == ["text", "first_frame", "first_and_last_frame"]
    for name in ("tiny/wan_text", "tiny"):
        assert client.models.retrieve(name).id == "tiny/wan_text"
    with pytest.raises(openai.NotFoundError, match=r"Unknown model 'startr'\. Did you mean 'starter'\?"):
        client.models.retrieve("startr")


def test_a_model_that_is_in_memory_is_loaded(server: Server) -> None:
    about = describe(server, "faulty-good")
    assert server.post(build(about, "text")).status == 200
    server.wait_until(lambda: describe(server, "faulty-good")["loaded"], "the model to be seen as loaded", 20)
    assert not describe(server, "faulty-slow")["loaded"]


@pytest.mark.parametrize("path", ["/v1/models/starte", "/models/starte", "/models/a/b"])
def test_an_unknown_model_is_a_404_that_suggests(server: Server, path: str) -> None:
    answer = server.get(path)
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert "Unknown model" in answer.error["message"]
    assert ("Did you mean 'starter'?" in answer.error["message"]) == path.endswith("starte")


def test_the_models_are_listed_with_their_aliases(faulty_server: Server) -> None:
    models = {model["id"]: model for model in faulty_server.get("/v1/models").json["data"]}
    assert {"starter", "video-model", "faulty-good"} <= models.keys()
    expected = {
        "id": "video-model",
        "object": "model",
        "owned_by": "videoapi-starter",
        "modes": ["text", "first_frame", "first_and_last_frame"],
        "available": True,
    }
    assert models["video-model"] == {"created": models["starter"]["created"], **expected}

"""`POST /video` with real diffusers pipelines: tiny ones with random weights, a family after the other."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import torch
import yaml
from diffusers import WanPipeline

from plugins.diffusers.tests.loras import make_weights, write_lora
from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.tiny import SERVED, TINY
from plugins.diffusers.tests.tiny.wan import make_components, make_transformer
from tests.clips import encode_clip, greys
from tests.images import base64_of, plain
from tests.server import Answer, Server
from tests.videos import Video, read

SMALL = {"prompt": "a red ball", "fps": 8, "step": 2, "cfg_scale": 4, "seed": 5}
# Every way to a video: callback and scheduler, sections, sound, guider, siblings, masks, conditions, no prompt at all.
ALWAYS = ("wan_text", "wan_ti2v", "wan_vace", "framepack", "hunyuan15_image", "ltx2", "stable_video", "modelscope")
ROWS = (
    "from videoapi.models import Generation\n"
    "for row in Generation.objects.filter(model='deep').order_by('created_at'):\n"
    "    print(row.parameters['params']['quality'])"
)
ONCE = [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in SERVED]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("diffusers")
    models = folder / "models"
    asked = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    for name in [name for name in SERVED if name in asked or name in ALWAYS]:
        torch.manual_seed(0)
        TINY[name].build().save_pretrained(models / f"{name}-weights")
        write(models, name, {"parameters": {"model": str(models / f"{name}-weights")}})
    write(models, "photos", {"parameters": {"model": "a/b"}, "diffusers": {"pipeline_type": "FluxPipeline"}})
    shutil.copytree(models / "wan_text-weights", models / "cut-weights")
    (models / "cut-weights" / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    write(models, "cut", {"parameters": {"model": str(models / "cut-weights")}})
    write_lora(models, "style", make_weights(TINY["wan_text"].build().transformer, 1))
    weights = {"parameters": {"model": str(models / "wan_text-weights")}}
    write(
        models, "styled", {**weights, "diffusers": {"loras": {"style": {"model": "style.safetensors", "scale": 0.5}}}}
    )
    torch.manual_seed(0)
    deep = WanPipeline(**make_components(transformer=make_transformer(num_layers=3)))
    deep.save_pretrained(models / "deep-weights")
    cached = {"cache": "first_block", "cache_options": {"threshold": 1e9}}
    write(models, "deep", {"parameters": {"model": str(models / "deep-weights")}, "diffusers": cached})
    with Server(folder, VIDEOAPI_MODELS_DIR=str(models), VIDEOAPI_PRELOAD="") as server:
        yield server


def write(models: Path, name: str, keys: dict[str, Any]) -> None:
    (models / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "backend": "diffusers", **keys}))


def ask(server: Server, name: str, **fields: Any) -> Answer:
    tiny = TINY[name]
    return server.post(
        {**SMALL, "model": name, "size": f"{tiny.width}x{tiny.height}", "num_frames": tiny.num_frames, **fields}
    )


def make(server: Server, name: str, **fields: Any) -> Video:
    answer = ask(server, name, **fields)
    assert answer.status == 200, (answer.body, server.log[-3000:])
    return read(server.get(answer.json["data"][0]["url"]).body)


def make_styled(server: Server, **params: Any) -> Video:
    fields = {"model": "styled", "size": "48x32", "num_frames": 9, "params": params}
    answer = server.post({**SMALL, **fields})
    assert answer.status == 200, (answer.body, server.log[-3000:])
    return read(server.get(answer.json["data"][0]["url"]).body)


def make_deep(server: Server, **params: Any) -> Video:
    fields = {"model": "deep", "size": "48x32", "num_frames": 9, "step": 6, "params": params}
    answer = server.post({**SMALL, **fields})
    assert answer.status == 200, (answer.body, server.log[-3000:])
    return read(server.get(answer.json["data"][0]["url"]).body)


def image(name: str, color: str) -> str:
    return base64_of(plain(color, TINY[name].width, TINY[name].height))


def inputs(server: Server, name: str) -> dict[str, Any]:
    """The least that the model makes a video from."""
    modes, tiny = make_spec(server.folder / "models" / f"{name}-weights").modes, TINY[name]
    if "text" in modes:
        return {}
    if modes == {"clip"}:
        return {"input_reference": base64_of(encode_clip(greys(tiny.num_frames, tiny.width, tiny.height)))}
    start = {"start_image": image(name, "red")}
    return start if "first_frame" in modes else {**start, "end_image": image(name, "blue")}


@pytest.mark.parametrize("name", ONCE)
def test_a_family_makes_exactly_what_was_asked_for(server: Server, name: str) -> None:
    video = make(server, name, **inputs(server, name))
    tiny = TINY[name]
    assert (len(video.frames), video.width, video.height, video.rate) == (tiny.num_frames, tiny.width, tiny.height, 8)


def test_one_model_has_all_its_modes(server: Server) -> None:
    clip = base64_of(encode_clip(greys(9, 48, 32)))
    red = {"start_image": image("wan_vace", "red"), "params": {"conditioning_scale": 10}}
    given: list[dict[str, Any]] = [{}, red, {"input_reference": clip}, {"input_reference": clip, **red}]
    assert len({make(server, "wan_vace", **each).frames.tobytes() for each in given}) == len(given)


def test_a_clip_goes_through_the_sibling_with_the_same_weights(server: Server) -> None:
    clip = base64_of(encode_clip(greys(9, 48, 32)))
    weak, strong = (
        make(server, "wan_text", input_reference=clip, step=4, params={"strength": strength}).frames
        for strength in (0.3, 0.9)
    )
    assert weak.tobytes() != strong.tobytes()


def test_a_request_weighs_a_lora_and_the_file_says_so(server: Server) -> None:
    default, strong, off = (
        make_styled(server),
        make_styled(server, loras={"style": 4}),
        make_styled(server, loras='{"style": 0}'),
    )
    assert off.frames.tobytes() == make(server, "wan_text").frames.tobytes()
    assert len({video.frames.tobytes() for video in (default, strong, off)}) == 3
    recorded = [
        json.loads(video.metadata["comment"])["request"]["params"]["loras"]["style"] for video in (default, strong, off)
    ]
    assert recorded == [0.5, 4, 0]


def test_a_lossy_quality_is_in_the_row_and_in_the_file(server: Server) -> None:
    videos = [make_deep(server, **params) for params in ({}, {"quality": "fast"}, {"quality": "lossless"})]
    recorded = [json.loads(video.metadata["comment"])["request"]["params"]["quality"] for video in videos]
    assert recorded == ["first_block", "fast", "lossless"]
    assert videos[0].frames.tobytes() != videos[2].frames.tobytes()
    rows = server.manage("shell", "--no-imports", "--command", ROWS).split()
    assert rows[-3:] == recorded


@pytest.mark.parametrize("name", ["ltx2", pytest.param("kandinsky6", marks=pytest.mark.slow)])
def test_the_sound_of_a_pipeline_is_in_the_file(server: Server, name: str) -> None:
    answer = ask(server, name)
    with av.open(io.BytesIO(server.get(answer.json["data"][0]["url"]).body)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]


@pytest.mark.parametrize(
    ("model", "fields", "param", "words"),
    [
        ("stable_video", {"negative_prompt": "blue"}, "negative_prompt", "does not take 'negative_prompt'"),
        ("stable_video", {}, "start_image", "needs a start image"),
        ("modelscope", {"start_image": "red"}, "start_image", "It takes: clip, text."),
        ("wan_ti2v", {"size": "48x32"}, "size", "the nearest sizes to 48x32 are 32x32 and 64x32"),
        ("wan_text", {"params": {"strength": 0.5}}, "params.strength", "no effect on a video from text"),
        ("wan_text", {"params": {"strenght": 0.5}}, "params.strenght", "Did you mean 'strength'?"),
        ("styled", {"params": {"loras": {"style": 9}}}, "params.loras.style", "9 is greater than the maximum of 4"),
        ("styled", {"params": {"loras": {"motion": 1}}}, "params.loras", "'motion' was unexpected"),
        ("deep", {"params": {"quality": "best"}}, "params.quality", "'best' is not one of ['lossless', 'balanced', 'f"),
        ("photos", {}, "model", "Unknown model 'photos'"),
    ],
)
def test_what_a_pipeline_cannot_take_is_a_400(
    server: Server, model: str, fields: dict[str, Any], param: str, words: str
) -> None:
    if "start_image" in fields:
        fields = {"start_image": image(model, fields["start_image"])}
    answer = ask(server, model, **fields) if model in TINY else server.post({**SMALL, "model": model, **fields})
    assert (answer.status, answer.error["param"]) == (400, param), answer.body
    assert words in answer.error["message"]


def test_weights_that_are_missing_fail_the_load_with_a_reason(server: Server) -> None:
    answer = server.post({**SMALL, "model": "cut", "size": "48x32", "num_frames": 5})
    assert (answer.status, answer.error["code"]) == (500, "model_error")
    assert answer.error["message"].startswith("The model cannot be loaded:")
    assert str(server.folder) not in answer.error["message"]


def test_a_cancel_without_a_callback_takes_effect_at_the_next_step(server: Server) -> None:
    make(server, "modelscope")
    fields = {"model": "modelscope", "size": "48x32", "num_frames": 4, "step": 200}
    path = server.post({**SMALL, **fields}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["step"] >= 2, "the second step")
    server.delete(path)
    assert server.wait_for(path, "cancelled", "failed", "completed")["status"] == "cancelled"


def test_a_prompt_that_is_cut_is_a_warning_with_the_number_of_tokens(server: Server) -> None:
    fields = {"model": "modelscope", "size": "48x32", "num_frames": 4, "prompt": "a " * 100}
    answer = server.post({**SMALL, **fields})
    assert answer.json["warnings"] == ["The prompt has 100 tokens; the model reads the first 76."]


def test_the_checks_name_what_cannot_be_served(server: Server) -> None:
    assert "photos.yaml: 'diffusers.pipeline_type' cannot be served: FluxPipeline makes no video" in server.manage(
        "check"
    )

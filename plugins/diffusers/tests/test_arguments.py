"""From requests to the arguments of calls, and what does not go together, without torch."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from videoapi import InvalidRequest
from videoapi_diffusers.arguments import make_arguments
from videoapi_diffusers.inputs import find_modes, find_problem
from videoapi_diffusers.params import find_params
from videoapi_diffusers.signature import REQUIRED, Missing, Signature, known_pipelines, read_signature

RED, BLUE = (Image.new("RGB", (48, 32), color) for color in ("red", "blue"))


def signature(name: str) -> Signature:
    found = read_signature(name)
    assert found is not None
    return found


def unlisted(**parameters: Any) -> Signature:
    return Signature(name="NewVideoPipeline", parameters=parameters)


def test_a_signature_is_read_from_the_source() -> None:
    wan = signature("WanImageToVideoPipeline")
    assert wan.parameters["image"] is REQUIRED
    assert (wan.parameters["num_frames"], wan.parameters["last_image"]) == (81, None)
    assert {"transformer", "transformer_2", "expand_timesteps"} <= wan.components
    assert wan.size_multiple == 16
    template = signature("HunyuanVideoPipeline").parameters["prompt_template"]
    assert template is Missing.COMPUTED
    assert read_signature("NoSuchPipeline") is None


def test_a_pipeline_that_nobody_listed_works_by_the_names_of_its_arguments(make_request: Any) -> None:
    found = unlisted(prompt=REQUIRED, images=None, end_image=None, frames=8, frame_rate=24, max_guidance_scale=3.0)
    assert find_problem(found) == ""
    assert find_modes(found, {}).keys() == {"text", "first_frame", "first_and_last_frame"}
    request = make_request(start_image=RED, end_image=BLUE, num_frames=9)
    assert make_arguments(request, found, {}) == {
        "prompt": "a b c",
        "images": RED,
        "end_image": BLUE,
        "frames": 9,
        "frame_rate": 8,
        "max_guidance_scale": 4.0,
    }


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"prompt": None, "height": 512}, "makes no video: its call takes no number of frames"),
        (
            {"prompt": None, "num_frames": 9, "camera": REQUIRED, "pose": REQUIRED},
            "needs arguments that no request has: camera, pose",
        ),
    ],
)
def test_what_no_request_can_feed_is_refused_with_the_reason(parameters: Any, problem: str) -> None:
    assert find_problem(unlisted(**parameters)) == problem


@pytest.mark.parametrize(
    ("parameters", "modes"),
    [
        ({"num_frames": 9}, {"text"}),
        ({"num_frames": 9, "image": REQUIRED}, {"first_frame"}),
        ({"num_frames": 9, "image": None}, {"text", "first_frame"}),
        ({"video": None, "strength": 0.8}, {"clip"}),
        ({"num_frames": 9, "video": None}, {"text", "clip"}),
        ({"num_frames": 9, "image": REQUIRED, "last_image": None}, {"first_frame", "first_and_last_frame"}),
    ],
)
def test_the_modes_are_in_the_signature(parameters: Any, modes: set[str]) -> None:
    assert find_modes(unlisted(prompt=None, **parameters), {}).keys() == modes


def test_every_video_pipeline_of_the_installed_diffusers_has_modes_or_a_reason() -> None:
    for name in known_pipelines():
        found = read_signature(name)
        if found is not None and not find_problem(found):
            assert find_modes(found, {}), name


def test_an_empty_negative_prompt_is_left_to_the_pipeline(make_request: Any) -> None:
    assert "negative_prompt" not in make_arguments(make_request(), signature("Kandinsky5T2VPipeline"), {})


def test_a_negative_prompt_needs_guidance_of_its_own_where_the_scale_is_embedded(make_request: Any) -> None:
    hunyuan = signature("HunyuanVideoPipeline")
    with pytest.raises(InvalidRequest, match=r"unless params\.true_cfg_scale is more than 1") as error:
        make_arguments(make_request(negative_prompt="d"), hunyuan, {"guidance_embeds": True})
    assert error.value.field == "negative_prompt"
    request = make_request(negative_prompt="d", params={"true_cfg_scale": 2.0})
    both = make_arguments(request, hunyuan, {"guidance_embeds": True})
    assert (both["guidance_scale"], both["true_cfg_scale"]) == (4.0, 2.0)
    without = make_arguments(make_request(negative_prompt="d"), hunyuan, {"guidance_embeds": False})
    assert ("guidance_scale" in without, without["true_cfg_scale"]) == (False, 4.0)


def test_a_short_clip_is_held_at_its_last_frame_where_it_must_be_whole(make_request: Any) -> None:
    request = make_request(clip=(RED, BLUE), num_frames=5)
    assert make_arguments(request, signature("WanVideoToVideoPipeline"), {})["video"] == [RED, *[BLUE] * 4]
    assert make_arguments(request, signature("CosmosVideoToWorldPipeline"), {})["video"] == [RED, BLUE]


@pytest.mark.parametrize(
    ("name", "asked", "field", "message"),
    [
        ("HeliosPipeline", {"clip": (RED, BLUE)}, "input_reference", "a clip of at least 33 frames; this one has 2"),
        (
            "Cosmos2_5_PredictBasePipeline",
            {"clip": (RED,) * 4},
            "input_reference",
            "a clip of at least 5 frames; this one has 4",
        ),
        ("MochiPipeline", {"num_inference_steps": 1}, "step", "needs at least 2 steps, not 1"),
        (
            "SkyReelsV2DiffusionForcingImageToVideoPipeline",
            {"start_image": RED, "num_frames": 1},
            "num_frames",
            "From what is given, this model makes at least 5 frames, not 1",
        ),
        (
            "WanImageToVideoPipeline",
            {"start_image": RED, "end_image": BLUE, "num_frames": 1},
            "num_frames",
            "From what is given, this model makes at least 2 frames, not 1",
        ),
        ("AnyFlowPipeline", {"clip": (RED,), "start_image": BLUE}, "start_image", "a clip or a start image, not both"),
    ],
)
def test_less_than_a_pipeline_can_work_with_is_refused_by_its_field(
    name: str, asked: Any, field: str, message: str, make_request: Any
) -> None:
    with pytest.raises(InvalidRequest, match=message) as error:
        make_arguments(make_request(**asked), signature(name), {})
    assert error.value.field == field


@pytest.mark.parametrize(
    ("num_frames", "given", "chunks", "shape"),
    [
        (81, {}, [1, 3, 3, 3, 3, 3, 3, 2], None),
        (17, {}, [1, 3, 1], None),
        (1, {}, [1, 1], None),
        (81, {"start_image": RED}, [1, 3, 3, 3, 3, 3, 3, 2], (1, 1, 32, 48, 3)),
        (81, {"clip": [RED] * 9}, [3, 3, 3, 3, 3, 3, 3], (1, 9, 32, 48, 3)),
        (81, {"clip": [RED] * 20}, [2, 3, 3, 3, 3, 3, 3, 1], (1, 17, 32, 48, 3)),
        (17, {"clip": [RED] * 17}, [1, 3, 1], (1, 13, 32, 48, 3)),
    ],
)
def test_anyflow_far_makes_chunks_of_three_latents_after_those_that_are_given(
    num_frames: int, given: Any, chunks: list[int], shape: Any, make_request: Any
) -> None:
    found = make_arguments(make_request(num_frames=num_frames, **given), signature("AnyFlowFARPipeline"), {})
    assert (found["chunk_partition"], found["num_frames"]) == (chunks, max(num_frames, 5))
    assert (found["video"].shape if "video" in found else None) == shape
    assert shape is None or (found["video"][0, 0, 0, 0].tolist() == [1, 0, 0])


def test_the_steps_of_a_pyramid_are_divided_among_its_sizes(make_request: Any) -> None:
    steps = [
        make_arguments(make_request(num_inference_steps=asked), signature("HeliosPyramidPipeline"), {})
        for asked in (1, 30, 31)
    ]
    assert [each["pyramid_num_inference_steps_list"] for each in steps] == [[1] * 3, [10] * 3, [11] * 3]


@pytest.mark.parametrize(
    ("frames", "length", "indexes"), [(1, 9, [0]), (4, 9, [0]), (5, 9, [0, 1]), (5, 5, [0]), (9, 9, [0, 1])]
)
def test_cosmos_3_keeps_the_latents_that_a_clip_has_and_makes_at_least_one(
    frames: int, length: int, indexes: list[int], make_request: Any
) -> None:
    request = make_request(clip=[RED] * frames, num_frames=length)
    assert make_arguments(request, signature("Cosmos3OmniPipeline"), {})["condition_frame_indexes_vision"] == indexes


def test_a_clip_and_an_image_are_refused_where_only_one_has_a_place(make_request: Any) -> None:
    with pytest.raises(InvalidRequest, match="a clip or a start image, not both"):
        make_arguments(make_request(clip=(RED,), start_image=BLUE), signature("WanVideoToVideoPipeline"), {})


def test_vace_gets_the_given_frames_black_in_the_mask(make_request: Any) -> None:
    arguments = make_arguments(make_request(start_image=RED, end_image=BLUE), signature("WanVACEPipeline"), {})
    assert [frame.getpixel((0, 0)) for frame in arguments["video"]] == [
        (255, 0, 0),
        *[(128, 128, 128)] * 3,
        (0, 0, 255),
    ]
    assert [frame.getpixel((0, 0)) for frame in arguments["mask"]] == [0, 255, 255, 255, 0]


def test_options_have_the_pipelines_own_defaults() -> None:
    params = find_params([signature("WanPipeline"), signature("WanVideoToVideoPipeline")])
    strength = {name: params["strength"][name] for name in ("type", "minimum", "maximum", "default")}
    assert strength == {"type": "number", "minimum": 0, "maximum": 1, "default": 0.8}
    assert "default" not in params["guidance_scale_2"]
    hunyuan = find_params([signature("HunyuanVideoPipeline")], {"true_cfg_scale": None, "max_sequence_length": 7})
    assert {name: schema["default"] for name, schema in hunyuan.items()} == {"max_sequence_length": 7}


@pytest.mark.parametrize(
    ("name", "field", "steps", "params"),
    [
        ("WanVideoToVideoPipeline", "params.strength", 1, {}),
        ("CogVideoXVideoToVideoPipeline", "params.strength", 3, {"strength": 0.3}),
        ("LTXConditionPipeline", "params.denoise_strength", 3, {"denoise_strength": 0.3}),
    ],
)
def test_a_strength_that_leaves_no_step_is_refused(
    name: str, field: str, steps: int, params: dict[str, float], make_request: Any
) -> None:
    clip = [Image.new("RGB", (48, 32))] * 9
    with pytest.raises(InvalidRequest, match=r"A strength of 0\.\d leaves none of \d steps; ask for more") as error:
        make_arguments(make_request(clip=clip, num_inference_steps=steps, params=params), signature(name), {})
    assert error.value.field == field
    make_arguments(make_request(clip=clip, num_inference_steps=10, params=params), signature(name), {})

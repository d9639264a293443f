"""What a family's weights are said to do, by their configurations, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugins.diffusers.tests.test_plugin import make_file, write_folder
from videoapi import ConfigurationError
from videoapi_diffusers.families import find_family
from videoapi_diffusers.params import SCHEMAS
from videoapi_diffusers.plugin import build_spec

PART = ["diffusers", "Part"]
# As released.
COGVIDEOX_15 = {"sample_width": 300, "sample_height": 300, "patch_size": 2, "patch_size_t": 2}


def write_index(folder: Path, pipeline: str, **values: Any) -> str:
    """Only the `model_index.json`, which is written anew."""
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline, **values}))
    return str(folder)


def test_cogvideox_15_has_the_size_length_and_rate_that_it_was_trained_on(tmp_path: Path) -> None:
    for name in ("CogVideoXPipeline", "CogVideoXImageToVideoPipeline"):
        (tmp_path / name).mkdir()
        folder = write_folder(tmp_path / name, name, transformer=COGVIDEOX_15)
        spec = build_spec(make_file(parameters={"model": folder}))
        assert spec.native_sizes == ((1360, 768),)
        assert (spec.defaults.width, spec.defaults.height, spec.defaults.num_frames) == (1360, 768, 81)
        assert spec.defaults.fps == 16


@pytest.mark.parametrize(
    ("pipeline", "index", "is_offered"),
    [
        ("WanPipeline", {}, False),
        ("WanPipeline", {"boundary_ratio": None, "expand_timesteps": True}, False),
        ("WanPipeline", {"boundary_ratio": 0.875}, True),
        ("WanImageToVideoPipeline", {}, False),
        ("WanImageToVideoPipeline", {"boundary_ratio": 0.9}, True),
        ("WanVACEPipeline", {}, False),
        ("LucyEditPipeline", {}, False),
    ],
)
def test_guidance_of_a_second_expert_is_offered_where_there_is_one(
    tmp_path: Path, pipeline: str, index: Any, is_offered: bool
) -> None:
    folder = write_index(tmp_path, pipeline, **index)
    assert ("guidance_scale_2" in build_spec(make_file(parameters={"model": folder})).params) is is_offered


@pytest.mark.parametrize(
    ("transformer", "modes"),
    [
        ({"visual_cond": True, "visual_token_type_num_embeddings": 2}, {"text", "first_frame"}),
        ({"visual_cond": True, "visual_token_type_num_embeddings": 0}, {"text"}),
        ({"visual_cond": False, "visual_token_type_num_embeddings": 2}, {"text"}),
    ],
)
def test_kandinsky_6_takes_a_first_frame_where_its_transformer_does(
    tmp_path: Path, transformer: Any, modes: Any
) -> None:
    folder = write_folder(tmp_path, "Kandinsky6TI2VAPipeline", transformer=transformer)
    write_index(tmp_path, "Kandinsky6TI2VAPipeline", audio_vae=PART, vocoder=PART)
    assert build_spec(make_file(parameters={"model": folder})).modes == modes


def test_kandinsky_6_without_what_makes_its_sound_is_refused(tmp_path: Path) -> None:
    folder = write_index(tmp_path, "Kandinsky6TI2VAPipeline", audio_vae=PART, vocoder=[None, None])
    with pytest.raises(ConfigurationError, match="lacks what a Kandinsky6TI2VAPipeline needs: vocoder"):
        build_spec(make_file(parameters={"model": folder}))


def test_motif_takes_a_first_frame_where_it_can_read_one(tmp_path: Path) -> None:
    found = []
    for number, extractor in enumerate((PART, [None, None])):
        (tmp_path / str(number)).mkdir()
        folder = write_index(tmp_path / str(number), "MotifVideoPipeline", feature_extractor=extractor)
        found.append(build_spec(make_file(parameters={"model": folder})).modes)
    assert found == [{"text", "first_frame"}, {"text"}]


def test_cosmos_3_offers_sound_where_its_weights_make_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("videoapi_diffusers.inputs.find_spec", lambda package: True)
    folder = write_folder(tmp_path, "Cosmos3OmniPipeline", transformer={"sound_gen": True})
    silent = build_spec(make_file(parameters={"model": folder}))
    write_folder(tmp_path, "Cosmos3OmniPipeline", sound_tokenizer={"sampling_rate": 48000})
    loud = build_spec(make_file(parameters={"model": folder}))
    assert (silent.audio, "enable_sound" in silent.params) == (False, False)
    assert (loud.audio, loud.params["enable_sound"]["default"]) == (True, True)


def test_a_pyramid_takes_steps_and_sizes_that_can_be_halved_twice(tmp_path: Path) -> None:
    spec = build_spec(make_file(parameters={"model": write_folder(tmp_path, "HeliosPyramidPipeline")}))
    assert (spec.size_multiple, spec.defaults.num_inference_steps, spec.unsupported) == (64, 60, frozenset())


def test_a_motion_that_does_not_move_is_no_value() -> None:
    assert (SCHEMAS["motion_speed"]["exclusiveMinimum"], "minimum" in SCHEMAS["motion_speed"]) == (0, False)


@pytest.mark.parametrize(("frames", "parts"), [(5, 1), (97, 1), (101, 2), (177, 2), (181, 3), (257, 3), (261, 4)])
def test_a_long_video_of_diffusion_forcing_is_denoised_in_parts(frames: int, parts: int) -> None:
    """As diffusers calculates `n_iter`."""
    assert find_family("SkyReelsV2DiffusionForcingPipeline").count_sections(frames, {}) == parts

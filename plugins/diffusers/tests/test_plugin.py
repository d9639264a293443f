"""From model files to specs, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from videoapi import ConfigurationError, FrameGrid, ModelFile
from videoapi_diffusers.params import SCHEMAS
from videoapi_diffusers.plugin import build_spec


def make_file(**data: Any) -> ModelFile:
    return ModelFile(Path("wan.yaml"), {"name": "wan", "backend": "diffusers", **data})


def write_folder(folder: Path, pipeline: str, **configs: Any) -> str:
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    for name, config in configs.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_a_local_folder_says_itself_what_it_is(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        "WanPipeline",
        vae={"scale_factor_spatial": 16},
        transformer={"patch_size": [1, 2, 2]},
    )
    spec = build_spec(make_file(parameters={"model": folder}))
    assert spec.modes == {"text", "clip"}
    assert (spec.size_multiple, spec.frame_grid) == (32, FrameGrid(step=4, offset=1))
    modes = {"text": "WanPipeline", "clip": "WanVideoToVideoPipeline"}
    assert spec.settings == {
        "source": folder,
        "pipeline_class": "WanPipeline",
        "dtype": None,
        "modes": modes,
        "changes": {},
        "profiles": {
            "WanPipeline": {
                "balanced": {"name": "first_block", "options": {"threshold": 0.05}},
                "fast": {"name": "first_block", "options": {"threshold": 0.12}},
            }
        },
        "revision": None,
        "weights": {},
        "placement": {"device": "", "offload": "auto"},
        "embeddings": {"memory_mib": 512},
    }
    assert (spec.defaults.width, spec.defaults.height, spec.defaults.num_frames) == (832, 480, 81)


def test_a_hub_id_needs_its_pipeline_type_until_it_is_downloaded() -> None:
    file = make_file(parameters={"model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"})
    with pytest.raises(ConfigurationError, match=r"'diffusers\.pipeline_type' is needed"):
        build_spec(file)
    data = {"parameters": {"model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"}, "diffusers": {"pipeline_type": "WanPipeline"}}
    spec = build_spec(make_file(**data))
    assert (spec.modes, spec.size_multiple) == ({"text"}, 16)


@pytest.mark.parametrize(
    ("transformer", "modes"),
    [
        ({"image_dim": 1280, "pos_embed_seq_len": None}, {"first_frame"}),
        ({"image_dim": 1280, "pos_embed_seq_len": 514}, {"first_and_last_frame"}),
        ({"image_dim": None}, {"first_frame", "first_and_last_frame"}),
    ],
    ids=["I2V", "FLF2V", "without image encoder"],
)
def test_a_last_frame_is_taken_by_the_transformers_made_for_it(tmp_path: Path, transformer: Any, modes: Any) -> None:
    folder = write_folder(tmp_path, "WanImageToVideoPipeline", transformer=transformer)
    assert build_spec(make_file(parameters={"model": folder})).modes == modes


def test_a_last_frame_is_not_promised_before_the_configuration_is_here() -> None:
    data = {"parameters": {"model": "a/b"}, "diffusers": {"pipeline_type": "WanImageToVideoPipeline"}}
    assert build_spec(make_file(**data)).modes == {"first_frame"}


@pytest.mark.parametrize(
    ("data", "dtype"),
    [({}, None), ({"f16": True}, "float16"), ({"options": ["torch_dtype:bf16"], "f16": True}, "bfloat16")],
)
def test_the_precision_is_localais(data: Any, dtype: str | None) -> None:
    base = {"parameters": {"model": "a/b"}, "diffusers": {"pipeline_type": "WanPipeline"}}
    assert build_spec(make_file(**base, **data)).settings["dtype"] == dtype


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "'parameters.model' must be a diffusers folder or a hub id"),
        ({"parameters": {"model": "/nonexistent"}}, "'parameters.model' is not a folder: /nonexistent"),
        (
            {"parameters": {"model": "a/b"}, "diffusers": {"pipeline_type": "StableDiffusionPipeline"}},
            "cannot be served: StableDiffusionPipeline makes no video: its call takes no number of frames",
        ),
        (
            {
                "parameters": {"model": "a/b"},
                "diffusers": {"pipeline_type": "WanPipeline"},
                "options": ["torch_dtype:int4"],
            },
            "'options.torch_dtype' must be one of fp16, bf16, fp32, not 'int4'",
        ),
    ],
)
def test_a_file_that_cannot_be_served_says_why(data: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_spec(make_file(**data))


def test_a_folder_that_is_no_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"without a readable model_index\.json"):
        build_spec(make_file(parameters={"model": str(tmp_path)}))


def test_building_a_spec_imports_neither_torch_nor_diffusers(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "WanPipeline")
    code = (
        "import sys, pathlib; from videoapi import ModelFile; from videoapi_diffusers.plugin import build_spec; "
        f"build_spec(ModelFile(pathlib.Path('x.yaml'), {{'name': 'x', 'backend': 'diffusers', "
        f"'parameters': {{'model': {folder!r}}}}})); print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "diffusers", "transformers", "django"} & set(out)


def test_ti2v_is_one_model_for_text_and_for_a_first_frame(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "WanPipeline", transformer={"in_channels": 48})
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline", "expand_timesteps": True}))
    assert build_spec(make_file(parameters={"model": folder})).settings["modes"] == {
        "text": "WanPipeline",
        "first_frame": "WanImageToVideoPipeline",
    }


def test_two_experts_take_no_clip_because_its_pipeline_has_one(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "WanPipeline", transformer={"in_channels": 16})
    index = {"_class_name": "WanPipeline", "transformer_2": ["diffusers", "WanTransformer3DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert build_spec(make_file(parameters={"model": folder})).modes == {"text"}


def test_a_pipeline_of_the_folders_own_code_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "WanPipeline")
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": ["pipeline", "MyPipeline"]}))
    with pytest.raises(ConfigurationError, match="names a pipeline of its own code, which is not run"):
        build_spec(make_file(parameters={"model": folder}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("WanPipelin", r"is no pipeline of diffusers [\d.]+: WanPipelin; did you mean 'WanPipeline'\?"),
        ("WanAnimatePipeline", "cannot be served: WanAnimatePipeline needs a video of poses"),
        ("CosmosTextToWorldPipeline", "needs what is not installed here: pip install"),
    ],
)
def test_a_pipeline_that_cannot_be_served_says_why(monkeypatch: Any, name: str, message: str) -> None:
    monkeypatch.setattr("videoapi_diffusers.inputs.find_spec", lambda package: None)
    with pytest.raises(ConfigurationError, match=message):
        build_spec(make_file(parameters={"model": "a/b"}, diffusers={"pipeline_type": name}))


def test_a_model_with_so_many_positions_makes_no_more_frames(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "LattePipeline", transformer={"video_length": 16, "sample_size": 64})
    spec = build_spec(make_file(parameters={"model": folder}))
    assert (spec.limits.max_frames, spec.frame_grid.next_up(3)) == (16, 16)


def test_a_pipeline_without_a_prompt_says_so(tmp_path: Path) -> None:
    spec = build_spec(make_file(parameters={"model": write_folder(tmp_path, "StableVideoDiffusionPipeline")}))
    assert spec.description == "Makes a video of the start image; the prompt has no effect."
    assert spec.unsupported == {"negative_prompt"}


@pytest.mark.parametrize(
    ("pipeline", "configs", "sizes"),
    [
        ("WanPipeline", {"transformer": {"num_layers": 30}}, ((832, 480), (480, 832))),
        ("WanPipeline", {"transformer": {"num_layers": 40}}, ((832, 480), (480, 832), (1280, 720), (720, 1280))),
        ("WanPipeline", {"vae": {"scale_factor_spatial": 64}}, ()),
        ("CogVideoXPipeline", {"transformer": {"sample_width": 170, "sample_height": 96}}, ((1360, 768),)),
        ("CogVideoXPipeline", {}, ((720, 480),)),
        ("StableVideoDiffusionPipeline", {"unet": {"sample_size": 96}}, ((1024, 576),)),
        ("MochiPipeline", {}, ((848, 480),)),
        ("LTXPipeline", {}, ((768, 512),)),
        ("AllegroPipeline", {}, ((1280, 720),)),
        ("I2VGenXLPipeline", {}, ()),
    ],
)
def test_the_native_sizes_are_those_of_the_weights_on_the_models_grid(
    tmp_path: Path, pipeline: str, configs: Any, sizes: tuple[tuple[int, int], ...]
) -> None:
    folder = write_folder(tmp_path, pipeline, **configs)
    assert build_spec(make_file(parameters={"model": folder})).native_sizes == sizes


def test_wan_of_five_billion_has_sizes_of_its_own(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "WanPipeline", vae={"scale_factor_spatial": 16})
    index = {"_class_name": "WanPipeline", "expand_timesteps": True}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert build_spec(make_file(parameters={"model": folder})).native_sizes == ((1280, 704), (704, 1280))


def test_every_option_says_what_it_is_for() -> None:
    assert all(schema["description"] for schema in SCHEMAS.values())

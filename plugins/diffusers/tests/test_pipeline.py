"""The backend with real pipelines: every mode, progress, cancel, and weights that are wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from videoapi import Cancelled, ModelError
from videoapi_diffusers import load


def frames_of(pipeline: Any, request: Any, progress: Any) -> Any:
    return np.stack(list(pipeline.generate(request, progress).frames))


def test_text_to_video_reports_every_step_and_gives_uint8_frames(
    text_folder: Path, make_request: Any, progress: Any
) -> None:
    seen = progress()
    frames = frames_of(load(str(text_folder), "WanPipeline"), make_request(), seen)
    assert (frames.shape, frames.dtype) == ((5, 32, 48, 3), np.uint8)
    assert seen.phases == ["encoding prompt", "denoising", "decoding"]
    assert seen.steps == [(1, 3), (2, 3), (3, 3)]


def test_from_the_second_generation_on_there_are_previews(text_folder: Path, make_request: Any, progress: Any) -> None:
    pipeline, first, second = load(str(text_folder), "WanPipeline"), progress(), progress()
    frames = frames_of(pipeline, make_request(), first)
    assert first.previews == []
    assert np.array_equal(frames, frames_of(pipeline, make_request(), second))
    assert [(picture.shape, picture.dtype) for picture in second.previews] == [((4, 6, 3), np.uint8)] * 2


def test_it_is_the_same_as_calling_diffusers(text_folder: Path, make_request: Any, progress: Any) -> None:
    import torch
    from diffusers import WanPipeline

    ours = frames_of(load(str(text_folder), "WanPipeline"), make_request(negative_prompt="d e"), progress())
    pipeline = WanPipeline.from_pretrained(text_folder)
    theirs = pipeline(
        prompt="a b c",
        negative_prompt="d e",
        height=32,
        width=48,
        num_frames=5,
        num_inference_steps=3,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(1),
    ).frames[0]
    assert np.array_equal(ours, np.rint(theirs * 255).astype(np.uint8))


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"prompt": "e f"}, {"negative_prompt": "g h"}, {"guidance_scale": 1.0}, {"num_inference_steps": 2}],
)
def test_every_parameter_reaches_the_model(text_folder: Path, make_request: Any, progress: Any, change: Any) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    before = frames_of(pipeline, make_request(), progress())
    assert np.array_equal(before, frames_of(pipeline, make_request(), progress()))
    assert not np.array_equal(before, frames_of(pipeline, make_request(**change), progress()))


def test_first_and_last_image_reach_the_model(image_folder: Path, make_request: Any, progress: Any) -> None:
    pipeline = load(str(image_folder), "WanImageToVideoPipeline")
    red, blue = (Image.new("RGB", (48, 32), color) for color in ("red", "blue"))
    results = [
        frames_of(pipeline, make_request(start_image=start, end_image=end), progress())
        for start, end in ((red, None), (blue, None), (red, blue))
    ]
    assert results[0].shape == (5, 32, 48, 3)
    assert not np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


def test_a_cancel_ends_it_between_two_steps_and_the_pipeline_goes_on(
    text_folder: Path, make_request: Any, progress: Any
) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    before = frames_of(pipeline, make_request(), progress())
    seen = progress(cancel_at=2)
    with pytest.raises(Cancelled):
        pipeline.generate(make_request(num_inference_steps=9), seen)
    assert seen.steps == [(1, 9), (2, 9)]
    assert np.array_equal(before, frames_of(pipeline, make_request(), progress()))


def test_numbers_that_overflow_are_a_model_error(text_folder: Path, make_request: Any, progress: Any) -> None:
    import torch

    pipeline = load(str(text_folder), "WanPipeline")
    with torch.no_grad():
        next(pipeline.pipeline.transformer.proj_out.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        frames_of(pipeline, make_request(), progress())


def copy(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def test_pickled_weights_are_refused(text_folder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = copy(text_folder, tmp_path / "pickled")
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelError, match="The weights of transformer are there as pickle alone") as error:
        load(str(folder), "WanPipeline")
    assert str(folder) not in error.value.message


def test_code_in_the_models_folder_is_not_run(text_folder: Path, tmp_path: Path) -> None:
    folder = copy(text_folder, tmp_path / "evil")
    index = json.loads((folder / "model_index.json").read_text())
    index["transformer"] = ["evil", "Evil"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "transformer" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...")
    with pytest.raises(ModelError):
        load(str(folder), "WanPipeline")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["vae/diffusion_pytorch_model.safetensors", "model_index.json", "vae/config.json"])
def test_a_missing_file_is_a_model_error_without_the_path(text_folder: Path, tmp_path: Path, name: str) -> None:
    folder = copy(text_folder, tmp_path / "cut")
    (folder / name).unlink()
    with pytest.raises(ModelError) as error:
        load(str(folder), "WanPipeline")
    assert str(folder) not in error.value.message


def test_a_truncated_weight_file_is_a_model_error(text_folder: Path, tmp_path: Path) -> None:
    folder = copy(text_folder, tmp_path / "truncated")
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError):
        load(str(folder), "WanPipeline")
